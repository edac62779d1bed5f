export { attachThread, rerunThread } from './attach-thread.js';
export type { Crash, ExceptionDetails } from './crash.js';
export { DpcQueues, type QueuedDpc, type SetTimer } from './dpc.js';
export {
  abandonBelow,
  type Callout,
  CONTEXT_SET,
  callAll,
  endThread,
  type FrameRegisters,
  type GuestCall,
  type GuestProcedure,
  isProcedure,
  processorOf,
  resumeProcedure,
  type ServiceResult,
  startProcedure,
  type ThreadNotifications,
  type TypedResult,
  takeStack,
  type UnwindInProgress,
} from './guest-call.js';
export { GuestCrash } from './guest-crash.js';
export { describeRuns, LAST_RUNS, noteRunsAsAsked, noteRunsIn } from './last-run.js';
export { ModeContexts } from './mode-contexts.js';
export type {
  GuestFunctionCall,
  RunOptions,
  ThreadEnvironment,
  ThreadProcess,
  ThreadSystem,
} from './owners.js';
export { type RunResult, Scheduler } from './scheduler.js';
export type { SliceObserver, SliceRunner } from './slices.js';
export type { StackFrame } from './stack-frame.js';
export { type Requestor, Thread, type ThreadCondition, type ThreadState } from './thread.js';
export { changeThread, finishThread, keepCallouts, takeLastCalls, wakeThread } from './thread-control.js';
export { THREAD_OPTIONS, type ThreadOptions, ThreadRunner } from './thread-runner.js';
export { ThreadStack } from './thread-stack.js';
