export type { BoundImport } from './bind-imports.js';
export { findExport } from './bind-imports.js';
export { BugCheck, MEMORY_MANAGEMENT } from './bug-check.js';
export { GuestCrash } from './crash.js';
export { KernelError, type KernelErrorDetails } from './error.js';
export { EventLog, type LabEvent } from './events.js';
export { HotPatchAddressTable, HPAT_PAIR_SIZE, type HpatLayout, hotPatchReserveSize } from './hpat.js';
export { ImageDomain } from './image-domain.js';
export type { ImageWriter } from './image-writer.js';
export { type BootOptions, Kernel, type LoadOptions } from './kernel.js';
export { type LdrHotPatchState, LoadedImage, type LoadReason } from './loaded-image.js';
export type { RunResult } from './scheduler.js';
export {
  type ArgumentType,
  defineExport,
  type ServiceCall,
  ServiceTable,
  type SimulatedExport,
  type SimulatedModule,
} from './services.js';
export { formatBytes, hex } from './text.js';
export { type Crash, Thread, type ThreadCondition, type ThreadState } from './thread.js';
