export type { Application } from './application.js';
export { APPLY_IMAGE_PATCH } from './apply-image.js';
export { type EngineBuild, engineBuild } from './builds.js';
export { PATCH_MAIN_CALLOUT } from './callout.js';
export { ModernEngine } from './engine.js';
export { type ImageRecord, VAD_HOT_PATCH_STATE, type VadHotPatchState } from './image-record.js';
export { type HotPatchCaller, type ManageHotPatchHost, manageHotPatch } from './manage-hot-patch.js';
export {
  CLASS_FACTS,
  type ClassFacts,
  layoutOf,
  MANAGE_HOT_PATCH,
  type ManageHotPatchClass,
  type RequestLayout,
  type StructureName,
  type Structures,
} from './manage-requests.js';
export { ENGINE_OPTIONS, type EngineOptions } from './options.js';
export { type LoadPatchOptions, Patch, type PatchState } from './patch.js';
export type { DynamicValues } from './plan.js';
export type {
  EntryState,
  ReadCode,
  Trampoline,
  TrampolineForm,
  TrampolineRequest,
  TrampolineStore,
} from './trampoline.js';
export { arm64Trampoline } from './trampoline-arm64.js';
export {
  x64EarlierTrampoline,
  x64RetpolineTrampoline,
  x64Trampoline,
  x86Trampoline,
} from './trampoline-x86.js';
export type { UndoEntry, UndoTable } from './undo-table.js';
