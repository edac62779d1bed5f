export {
  CodeInformation,
  encodeCodeInfo,
  encodeHandles,
  encodeNames,
  FLG_HOTPATCH,
  type HookDescriptor,
  type NameField,
  type NameInformation,
  SYSTEM_HOTPATCH_INFORMATION,
} from './code-information.js';
export type { Server2003Host } from './context.js';
export { Server2003Engine } from './engine.js';
export { LDR_HOT_PATCH_ROUTINE } from './inject.js';
export { HOT_PATCH_2003_OPTIONS, type HotPatch2003Options, type LoadPatch2003Options } from './options.js';
export {
  type Application2003,
  type AppliedHook,
  Patch2003,
  type Patch2003State,
  type PlannedHook,
} from './patch.js';
export { Server2003, type Server2003Options, SYSTEM32, SYSWOW64 } from './server.js';
export type { SetInformationCaller } from './set-system-information.js';
export { type Hotfix, type HotfixFile, type InstallReport, installHotfix, optsIn } from './updater.js';
