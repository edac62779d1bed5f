// biome-ignore-all assist/source/organizeImports: grouped by what they are for
/**
 * hotpatch-lab: a laboratory for Windows hotpatching. Here is what scenarios and tests are written with; the rooms below
 * (`hotpatch-lab/loader`, `/engine`, `/image`, `/cpu`, …) export what else there is.
 *
 * @module
 */

// Symbol.dispose is defined before any class uses it.
import '../cpu/index.js';

// Scenarios, and the machine that they play with.
export { type Argument, type FileSource, Lab, type LabOptions } from './lab.js';
export type { Place } from './place.js';
export {
  currentScenarioRun,
  defineScenario,
  type Run,
  runScenario,
  type Scenario,
  type ScenarioContext,
  type ScenarioResult,
  type ScenarioRunOptions,
} from './scenario.js';
export { createExpect, type Expect, ExpectationFailed, type Matchers } from './expect.js';
export {
  type DeviceAnswer,
  DeviceHandle,
  DeviceOpenError,
  type DeviceRequest,
  type OpenDeviceOptions,
} from './device-handle.js';

// What is in the machine: kernel, processes, sessions, threads, images, files.
export {
  type BootOptions,
  EventObject,
  FileObject,
  type FileSection,
  FileSystem,
  HotPatchAddressTable,
  type HpatLayout,
  ImageDomain,
  type ImageKind,
  type ImageWriter,
  Kernel,
  type LdrHotPatchState,
  LoadedImage,
  type LoadOptions,
  type LoadReason,
  OpenFile,
  type OpenOptions,
  type ExceptionHandlers,
  Process,
  type ProcessOptions,
  type RunResult,
  SectionObject,
  SecureKernel,
  Session,
  type StackFrame,
  Thread,
  type ThreadCondition,
  type ThreadNotifications,
  type ThreadOptions,
  type ThreadState,
  WINDOWS_BUILDS,
  type WindowsBuild,
} from '../loader/index.js';

// What happened, in order.
export {
  EventLog,
  type LabEvent,
  type LabEventFacts,
  type LabEventKind,
  type LabEventOf,
} from '../loader/index.js';

// Exports of one's own for guest code to import.
export {
  type ArgumentType,
  defineExport,
  type SimulatedExport,
  type SimulatedModule,
} from '../loader/index.js';

// Hotpatches, what both engines do with them, and their steps.
export {
  type CalloutPhase,
  type EngineName,
  type Engines,
  type EngineStep,
  type HotPatch,
  type HotPatchEngine,
  HotPatchError,
  type HotPatchErrorDetails,
  type HotPatchPlace,
  type HotPatchRule,
  type HotPatchState,
  type LoadHotPatchOptions,
  type StoreStep,
  type StoreTarget,
  type Writer,
} from '../engine/index.js';

// The engine of Server 2022 and Windows 11.
export {
  type Application,
  type EngineOptions,
  type ImageRecord,
  type LoadPatchOptions,
  ModernEngine,
  Patch,
  type PatchState,
} from '../engine/index.js';

// The engine of Server 2003, and its hotfixes.
export {
  type Application2003,
  type Hotfix,
  type HotfixFile,
  type HotPatch2003Options,
  installHotfix,
  type InstallReport,
  type LoadPatch2003Options,
  optsIn,
  Patch2003,
  type Patch2003State,
  Server2003,
  Server2003Engine,
  type Server2003Options,
  SYSTEM32,
  SYSWOW64,
} from '../engine/index.js';

// Image files and their symbols.
export {
  findSymbols,
  type NtStatus,
  type NtStatusName,
  ntStatus,
  PeImage,
  readImage,
  type SymbolTable,
} from '../image/index.js';

// Errors: one shape.
export { BuildError } from '../builder/index.js';
export { CpuError, formatAddress, UnicornMissing } from '../cpu/index.js';
export { ImageError } from '../image/index.js';
export {
  BugCheck,
  type BugCheckState,
  type Crash,
  GuestCrash,
  KernelError,
  type KernelErrorDetails,
  type KernelRule,
} from '../loader/index.js';
export { isLabError, type LabError, type LabErrorFacts, type Rule } from './error.js';
