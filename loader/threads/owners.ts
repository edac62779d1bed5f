import type { Processor } from '../../cpu/index.js';
import type { BugCheckState } from '../common/index.js';
import type { ImageDomain, ImageEnvironment, ImageProcess } from '../images/index.js';
import type { RunResult, Scheduler } from './scheduler.js';
import type { StackFrame } from './stack-frame.js';
import type { Thread, ThreadCondition } from './thread.js';
import type { ThreadStack } from './thread-stack.js';

/** What a process keeps in itself for its threads. */
export interface ThreadEnvironment extends ImageEnvironment {
  createTeb(threadId: number, stack: ThreadStack): bigint;
  destroyTeb(teb: bigint): void;
  setStackLimit(teb: bigint, limit: bigint): void;
  /** Points the register that user code finds its TEB with. */
  setTebRegister(processor: Processor, teb: bigint): void;
}

/** The process of a thread, as far as the thread needs to know it. */
export interface ThreadProcess extends ImageProcess {
  /** No user address space, only kernel threads. */
  readonly minimal: boolean;
  readonly environment: ThreadEnvironment | undefined;
  /** Which arena of the process heap a new thread allocates from. */
  freeHeapArena(): number;
  /** Handlers for all exceptions of the process; 0 is no filter. */
  readonly exceptionHandlers: { readonly vectored: readonly bigint[]; readonly unhandledFilter: bigint };
}

export interface RunOptions {
  readonly until?: ThreadCondition | readonly ThreadCondition[];
  readonly instructions?: number;
}

/** The system that a thread runs in. */
export interface ThreadSystem {
  readonly scheduler: Scheduler;
  run(options?: RunOptions): RunResult;
  stackWalk(thread: Thread): readonly StackFrame[];
}

/** A call of a guest function that somebody asks the kernel for. */
export interface GuestFunctionCall {
  readonly target: bigint;
  readonly arguments: readonly (bigint | number)[];
  /** Where the function's code is. */
  readonly domain: ImageDomain;
  /** `loader`: it is made while an image is loaded or unloaded, such as that of its entry point. */
  readonly initiator: 'caller' | 'loader';
}

/** The kernel, as far as making and running threads needs it. */
export interface ThreadRunnerOwner {
  readonly scheduler: Scheduler;
  readonly bugChecks: BugCheckState;
  /** By the address of a function: whose code it is. */
  domainOf(address: bigint): ImageDomain;
  /** Whose threads run code of a domain. */
  processOf(domain: ImageDomain): ThreadProcess;
  stackWalk(thread: Thread): readonly StackFrame[];
  nextId(): number;
  /** Threads have run, and stand still again. */
  hasRun(): void;
  /** Is an image being loaded or unloaded? */
  isLoading(): boolean;
  /** Stands between whoever wants a function's result and the call; `perform` makes it, gives the result register. */
  readonly aroundCall?:
    | ((call: GuestFunctionCall, perform: (target: bigint) => bigint) => bigint)
    | undefined;
}
