export {
  COLDPATCH_SECTION,
  type Coldpatch,
  type ColdpatchPlace,
  encodeColdpatch,
  originalBytes,
  readColdpatch,
} from './coldpatch.js';
export { describeHotp1, type Hotp1Description } from './describe.js';
export {
  appendHotp1Section,
  encodeHotp1,
  type Hotp1HookInput,
  type Hotp1Input,
  type Hotp1ValidationInput,
} from './encode.js';
export {
  FIXUP_SIZE,
  FIXUP_TYPE,
  type FixupType,
  fixupTypeName,
  HAS_HOTP1,
  HOOK_OPTION,
  HOOK_TYPE,
  HOTP1_HEADER_SIZE,
  HOTP1_SECTION,
  HOTPATCH_HEADER,
  type HookType,
  type Hotp1,
  type Hotp1Fixup,
  type Hotp1Hook,
  type Hotp1Validation,
  hookSize,
  hookTypeName,
  isJump,
  MODULE_ID_METHOD,
  type ModuleIdMethod,
  shortJumpTarget,
  VALIDATION_HOOK_ONLY,
} from './format.js';
export { HOOK_FORM_NEEDS, type HookForm, hookFormFor, pointerCells } from './hook-forms.js';
export {
  continuationOf,
  entriesOf,
  type HookPlace,
  hookPlace,
  hookPlaceProblem,
  jumpsOf,
  routineOf,
} from './hook-places.js';
export {
  isModule,
  moduleIdText,
  moduleIdValue,
  peHeaderHash2,
  type SupportedModuleIdMethod,
} from './module-id.js';
export { ownerOf, validationIndex } from './places.js';
export { hasHotp1Section, readHotp1 } from './read.js';
export {
  HOTP1_RULES,
  type Hotp1Finding,
  type Hotp1Rule,
  type Hotp1RuleId,
  hotp1Finding,
  hotp1Rule,
} from './rules.js';
export { validateHotp1 } from './validate.js';
