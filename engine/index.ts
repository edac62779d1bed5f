// Symbol.dispose is defined before any class uses it.
import '../cpu/index.js';

export {
  type CalloutPhase,
  type CodeRange,
  type EngineName,
  type EngineRule,
  type EngineStep,
  type Holder,
  type HotPatch,
  type HotPatchEngine,
  HotPatchError,
  type HotPatchErrorDetails,
  type HotPatchPlace,
  type HotPatchRule,
  type HotPatchState,
  type LoadHotPatchOptions,
  type Occupation,
  type OperationKind,
  type OperationObserver,
  observeOperations,
  type RequestedOperation,
  type StoreStep,
  type StoreTarget,
  sees,
  standsIn,
  threadsStandingIn,
  type Writer,
} from './core/index.js';
export { assertEngineOptions, bootOptionsFor, createEngine, type Engines } from './engines.js';
export * from './modern/index.js';
export * from './server-2003/index.js';
