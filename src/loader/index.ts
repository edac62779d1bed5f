export { AddressRegion, MemoryArea } from './address-region.js';
export { apiSetHost } from './api-set.js';
export type { BoundImport, WantedExport } from './bind-imports.js';
export { findExport, resolveImport } from './bind-imports.js';
export type { BootDecisions, BootOptions } from './boot.js';
export {
  BugCheck,
  CRITICAL_STRUCTURE_CORRUPTION,
  HYPERGUARD_VIOLATION,
  MEMORY_MANAGEMENT,
} from './bug-check.js';
export { ControlFlowGuard, type GuardState, isGuarded } from './control-flow-guard.js';
export { GuestCrash } from './crash.js';
export { findDelayImport } from './delay-load.js';
export { KernelError, type KernelErrorDetails } from './error.js';
export { EventLog, type LabEvent } from './events.js';
export { failFast, fastFailName } from './fail-fast.js';
export {
  type DiskOperation,
  type FileSection,
  FileSystem,
  OpenFile,
  type OpenOptions,
} from './file-system.js';
export { type FunctionEntry, lookupFunctionEntry } from './function-entry.js';
export { HandleTable, isCurrentProcess } from './handles.js';
export { HotPatchAddressTable, HPAT_PAIR_SIZE, type HpatLayout, hotPatchReserveSize } from './hpat.js';
export { ImageDomain, type ImageKind } from './image-domain.js';
export type { ImageIdentity, ImageInstance } from './image-instances.js';
export type { LoadOptions } from './image-loader.js';
export { ImageSection } from './image-section.js';
export type { ImageWriter } from './image-writer.js';
export { IRQL } from './irql.js';
export { Kernel, type LoadImageOptions } from './kernel.js';
export { type LdrHotPatchState, LoadedImage, type LoadReason } from './loaded-image.js';
export { EventObject, FileObject, SectionObject } from './objects.js';
export { PatchGuard } from './patch-guard.js';
export { Process } from './process.js';
export type { ProcessOptions } from './process-table.js';
export { RETPOLINE_ROUTINES } from './retpoline.js';
export type { RunResult, SliceRunner } from './scheduler.js';
export { SecureKernel } from './secure-kernel.js';
export { ServiceTable } from './service-table.js';
export { Session } from './session.js';
export {
  type ArgumentType,
  defineExport,
  readPointer,
  readUnicodeString,
  type ServiceCall,
  type ServiceResult,
  type SimulatedExport,
  type SimulatedModule,
  writePointer,
} from './simulated-export.js';
export type { StackFrame } from './stack-walk.js';
export type { SystemFile } from './system-files.js';
export { type SystemService, SystemServices } from './system-services.js';
export { formatBytes, hex } from './text.js';
export { type Crash, Thread, type ThreadCondition, type ThreadState } from './thread.js';
export type { ThreadOptions } from './thread-runner.js';
export { type Blocked, blocked } from './wait.js';
