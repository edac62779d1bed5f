export { HotPatchError, type HotPatchErrorDetails } from './core/error.js';
export type {
  EngineName,
  HotPatch,
  HotPatchEngine,
  HotPatchPlace,
  HotPatchState,
  LoadHotPatchOptions,
} from './core/hot-patch-engine.js';
export type { Holder } from './core/in-use.js';
export {
  type OperationKind,
  type OperationObserver,
  observeOperations,
  type RequestedOperation,
} from './core/requested-operation.js';
export type { HotPatchRule } from './core/rules.js';
export { type CodeRange, sees, standsIn, threadsStandingIn } from './core/stands.js';
export type { CalloutPhase, EngineStep, StoreStep, StoreTarget, Writer } from './core/steps.js';
export { bootOptionsFor, createEngine, type Engines } from './engines.js';
export type { Application } from './modern/application.js';
export { APPLY_IMAGE_PATCH } from './modern/apply-image.js';
export { type EngineBuild, engineBuild } from './modern/builds.js';
export { PATCH_MAIN_CALLOUT } from './modern/callout.js';
export { ModernEngine } from './modern/engine.js';
export { type ImageRecord, VAD_HOT_PATCH_STATE, type VadHotPatchState } from './modern/image-record.js';
export { type HotPatchCaller, type ManageHotPatchHost, manageHotPatch } from './modern/manage-hot-patch.js';
export {
  CLASS_FACTS,
  layoutOf,
  MANAGE_HOT_PATCH,
  type ManageHotPatchClass,
} from './modern/manage-requests.js';
export type { EngineOptions } from './modern/options.js';
export { type LoadPatchOptions, Patch, type PatchState } from './modern/patch.js';
export type { DynamicValues } from './modern/plan.js';
export type {
  EntryState,
  Trampoline,
  TrampolineForm,
  TrampolineRequest,
  TrampolineStore,
} from './modern/trampoline.js';
export { arm64Trampoline } from './modern/trampoline-arm64.js';
export {
  x64EarlierTrampoline,
  x64RetpolineTrampoline,
  x64Trampoline,
  x86Trampoline,
} from './modern/trampoline-x86.js';
export type { UndoEntry, UndoTable } from './modern/undo-table.js';
export * from './server-2003/index.js';
