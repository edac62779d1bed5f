export type { HookForm } from '../../image/index.js';
export { type Build2003Input, type Built2003, buildHotPatch2003 } from './build.js';
export { buildColdpatch } from './coldpatch.js';
export { type Verification2003, verifyHotPatch2003 } from './verify.js';
