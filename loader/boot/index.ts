export {
  announceBoot,
  announcePhase1,
  type BootDecisions,
  type BootOptions,
  decideBoot,
  hotPatchingEnabled,
} from './boot.js';
export { KernelSpace } from './kernel-space.js';
export { type BootSeams, fittingsOf, type KernelRequest } from './seams.js';
