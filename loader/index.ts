export type { BootDecisions, BootOptions } from './boot/boot.js';
export type { SystemFile } from './boot/system-files.js';
export {
  BugCheck,
  CRITICAL_STRUCTURE_CORRUPTION,
  HYPERGUARD_VIOLATION,
  MEMORY_MANAGEMENT,
} from './common/bug-check.js';
export { KernelError, type KernelErrorDetails } from './common/error.js';
export { EventLog, type LabEvent } from './common/events.js';
export { IRQL } from './common/irql.js';
export { formatBytes, hex } from './common/text.js';
export { type Blocked, blocked } from './common/wait.js';
export { GuestCrash } from './dispatch/crash.js';
export { failFast, fastFailName } from './dispatch/fail-fast.js';
export type { StackFrame } from './dispatch/stack-walk.js';
export { ServiceTable } from './exports/export-table.js';
export {
  type ArgumentType,
  defineExport,
  readPointer,
  type ServiceCall,
  type ServiceResult,
  type SimulatedExport,
  type SimulatedModule,
  writePointer,
} from './exports/simulated-export.js';
export {
  type DiskOperation,
  type FileSection,
  FileSystem,
  OpenFile,
  type OpenOptions,
} from './files/file-system.js';
export { apiSetHost } from './images/api-set.js';
export type { BoundImport, WantedExport } from './images/bind-imports.js';
export { findExport, resolveImport } from './images/bind-imports.js';
export { ControlFlowGuard, type GuardState, isGuarded } from './images/control-flow-guard.js';
export { findDelayImport } from './images/delay-load.js';
export { type FunctionEntry, lookupFunctionEntry } from './images/function-entry.js';
export { HotPatchAddressTable, HPAT_PAIR_SIZE, type HpatLayout, hotPatchReserveSize } from './images/hpat.js';
export type { ImageIdentity, ImageInstance } from './images/image-instances.js';
export type { LoadOptions } from './images/image-loader.js';
export { ImageSection } from './images/image-section.js';
export { type LdrHotPatchState, LoadedImage, type LoadReason } from './images/loaded-image.js';
export { RETPOLINE_ROUTINES } from './images/retpoline.js';
export { Kernel, type LoadImageOptions } from './kernel.js';
export { AddressRegion, MemoryArea } from './memory/address-region.js';
export { ImageDomain, type ImageKind } from './memory/image-domain.js';
export type { ImageWriter } from './memory/image-writer.js';
export { HandleTable, isCurrentProcess } from './processes/handles.js';
export { EventObject, FileObject, SectionObject } from './processes/objects.js';
export { Process } from './processes/process.js';
export type { ProcessOptions } from './processes/process-table.js';
export { Session } from './processes/session.js';
export { PatchGuard } from './secure/patch-guard.js';
export { SecureKernel } from './secure/secure-kernel.js';
export { type SystemService, SystemServices } from './services/system-services.js';
export type { RunResult, SliceRunner } from './threads/scheduler.js';
export { type Crash, Thread, type ThreadCondition, type ThreadState } from './threads/thread.js';
export type { ThreadOptions } from './threads/thread-runner.js';
