export { entryFactsOf } from './entry.js';
export { HotPatchError, type HotPatchErrorDetails, statusOfError } from './error.js';
export type {
  EngineName,
  HotPatch,
  HotPatchEngine,
  HotPatchPlace,
  HotPatchState,
  LoadHotPatchOptions,
} from './hot-patch-engine.js';
export { type Holder, holdersOfPatch, threadsIn } from './in-use.js';
export type { ChangeFacts } from './journal.js';
export { changeLiveCode, type LivePart } from './live-change.js';
export { isAlive, Operation, whileAlive } from './operation.js';
export { asHotPatchError, refuseFindings } from './refusals.js';
export {
  drive,
  type OperationFacts,
  type OperationKind,
  type OperationObserver,
  observeOperations,
  performOperation,
  type RequestedOperation,
} from './requested-operation.js';
export type { EngineRule, HotPatchRule } from './rules.js';
export { type CodeRange, refuseOccupied, sees, standsIn, threadsStandingIn } from './stands.js';
export type { CalloutPhase, EngineStep, Occupation, StoreStep, StoreTarget, Writer } from './steps.js';
export { nameInReports, storeAsKernel, storeAsOwner } from './store.js';
