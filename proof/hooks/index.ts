export { type CallOutcome, type HookedPatch, type HookedProgram, HookMachine } from './machine.js';
export {
  HOOK_PLACES,
  HOOK_SEQUELS,
  type HookCase,
  type HookPlace,
  type HookSequel,
  type HookVerdict,
  runHookCase,
} from './matrix.js';
export { type EntryRace, entryRaces } from './races.js';
export {
  type CodeBytes,
  type HookRequest,
  type HookStores,
  INLINE_HOOKS,
  type InlineHook,
} from './shapes.js';
