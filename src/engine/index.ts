export { HotPatchEngine, type LoadPatchOptions } from './engine.js';
export { HotPatchError, type HotPatchErrorDetails } from './error.js';
export type { ImageRecord } from './image-record.js';
export type { Patch, PatchState } from './patch.js';
export type { EngineStep, StoreStep, StoreTarget, Writer } from './steps.js';
export type { EntryState, TrampolineForm, TrampolineStore } from './trampoline.js';
export { arm64Trampoline } from './trampoline-arm64.js';
export { x64Trampoline, x86Trampoline } from './trampoline-x64.js';
export type { UndoEntry, UndoTable } from './undo-table.js';
