export type { BootDecisions, BootOptions, BootSeams, KernelRequest } from './boot/index.js';
export {
  type Blocked,
  BugCheck,
  blocked,
  CRITICAL_STRUCTURE_CORRUPTION,
  EventLog,
  formatBytes,
  HYPERGUARD_VIOLATION,
  hex,
  IRQL,
  KernelError,
  type KernelErrorDetails,
  type KernelRule,
  type LabEvent,
  type LabEventFacts,
  type LabEventKind,
  type LabEventOf,
  MEMORY_MANAGEMENT,
  type PlainEventKind,
} from './common/index.js';
export {
  type ArgumentType,
  calleePops,
  failFast,
  fastFailName,
  type ServiceCall,
  type SimulatedExport,
  type SimulatedModule,
} from './dispatch/index.js';
export { defineExport, ExportTable, simulatedModules } from './exports/index.js';
export {
  type DiskOperation,
  type FileSection,
  FileSystem,
  OpenFile,
  type OpenOptions,
} from './files/index.js';
export {
  apiSetHost,
  type BoundImport,
  ControlFlowGuard,
  type FunctionEntry,
  findDelayImport,
  findExport,
  type GuardState,
  HotPatchAddressTable,
  HPAT_PAIR_SIZE,
  type HpatLayout,
  hotPatchReserveSize,
  ImageDomain,
  type ImageIdentity,
  type ImageInstance,
  type ImageKind,
  ImageSection,
  isGuarded,
  type LdrHotPatchState,
  LoadedImage,
  type LoadOptions,
  type LoadReason,
  lookupFunctionEntry,
  RETPOLINE_ROUTINES,
  resolveImport,
  type SystemFile,
  type WantedExport,
} from './images/index.js';
export { Kernel, type LoadImageOptions } from './kernel.js';
export { AddressRegion, type ImageWriter, MemoryArea, readPointer, writePointer } from './memory/index.js';
export {
  EventObject,
  FileObject,
  HandleTable,
  isCurrentProcess,
  Process,
  type ProcessOptions,
  SectionObject,
  Session,
} from './processes/index.js';
export { PatchGuard, SecureKernel } from './secure/index.js';
export { type SystemService, SystemServices } from './services/index.js';
export {
  type Crash,
  GuestCrash,
  type GuestFunctionCall,
  type RunResult,
  type ServiceResult,
  type SliceObserver,
  type SliceRunner,
  type StackFrame,
  Thread,
  type ThreadCondition,
  type ThreadOptions,
  type ThreadState,
} from './threads/index.js';
