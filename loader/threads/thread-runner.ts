import { KernelError } from '../common/index.js';
import type { ImageDomain } from '../images/index.js';
import type { Kernel } from '../kernel.js';
import { GuestCrash } from './guest-crash.js';
import type { ModeContexts } from './mode-contexts.js';
import type { RunResult } from './scheduler.js';
import { type Requestor, Thread, type ThreadCondition } from './thread.js';
import { ThreadStack } from './thread-stack.js';

export interface ThreadOptions {
  readonly name?: string;
  /** Where its code is. Default: the domain that its start address lies in. */
  readonly domain?: ImageDomain;
  /** Index of the only processor that may run it. */
  readonly affinity?: number;
  readonly irql?: number;
  /** Kernel code of a thread's system service: it runs in that thread's process and address space. */
  readonly onBehalfOf?: Requestor;
}

export interface RunOptions {
  readonly until?: ThreadCondition | readonly ThreadCondition[];
  readonly instructions?: number;
}

type Arguments = readonly (bigint | number)[];

/** A call of a guest function that somebody asks the kernel for. */
export interface GuestFunctionCall {
  readonly target: bigint;
  readonly arguments: Arguments;
  /** Where the function's code is. */
  readonly domain: ImageDomain;
  /** `loader`: it is made while an image is loaded or unloaded, such as that of its entry point. */
  readonly initiator: 'caller' | 'loader';
}

const CALL_LIMIT = 50_000_000;

/** Makes threads with their stacks and lets them run: what `Kernel.run`, `call` and `createThread` do. */
export class ThreadRunner {
  constructor(
    private readonly kernel: Kernel,
    private readonly modes: ModeContexts,
    private readonly nextId: () => number,
  ) {}

  create(address: bigint, parameters: Arguments, options: ThreadOptions): Thread {
    const { kernel } = this;
    const domain = options.domain ?? kernel.domainOf(address);
    const client = options.onBehalfOf?.thread;
    const process = client?.process ?? domain.process ?? kernel.systemProcess;
    const environment = domain.process?.environment;
    const affinity = options.affinity ?? client?.affinity;
    const id = this.nextId();
    const { stack, teb } = client?.kernelStack ?? createStack(domain, id);
    if (client !== undefined) client.kernelStack = { stack, teb };
    const thread = new Thread({
      id,
      name: options.name ?? 'thread',
      domain,
      process,
      stack,
      heapArena: process.freeHeapArena(),
      startAddress: address,
      ...(affinity === undefined ? {} : { affinity }),
      ...(options.onBehalfOf === undefined
        ? {}
        : { onBehalfOf: options.onBehalfOf, addressSpace: options.onBehalfOf.thread.addressSpace }),
      ...(options.irql === undefined ? {} : { irql: options.irql }),
      ...(teb === undefined ? {} : { teb }),
      start: (processor) => {
        this.modes.load(processor, domain);
        domain.architecture.prepareCall(processor, {
          target: address,
          arguments: parameters,
          stackTop: stack.end,
        });
        if (teb !== undefined) environment?.setTebRegister(processor, teb);
      },
    });
    kernel.scheduler.add(thread);
    return thread;
  }

  run(options: RunOptions): RunResult {
    const { scheduler, patchGuard } = this.kernel;
    const until = options.until === undefined ? [] : [options.until].flat();
    for (const { thread } of until)
      if (!thread.finished && thread.state !== 'waiting') scheduler.place(thread);
    const result = scheduler.run(until, options.instructions ?? CALL_LIMIT);
    this.#judge(until, result, options.instructions !== undefined);
    patchGuard.tick();
    return result;
  }

  /** Calls a function on a thread of its own, which runs alone; returns the finished thread. */
  call(address: bigint, parameters: Arguments, options: ThreadOptions): Thread {
    const thread = this.create(address, parameters, { name: 'call', ...options });
    try {
      this.runAlone(thread);
    } finally {
      this.destroy(thread);
    }
    return thread;
  }

  /** Runs a thread until its function has returned; all others stand still. */
  runAlone(thread: Thread): void {
    this.#judge([thread.returns()], this.kernel.scheduler.runAlone(thread, CALL_LIMIT));
    this.kernel.patchGuard.tick();
  }

  /** Gives back what a thread has that is over. */
  destroy(thread: Thread): void {
    this.kernel.scheduler.remove(thread);
    // Kernel code of a system service ran on a stack that its thread keeps.
    if (thread.onBehalfOf !== undefined) return;
    if (thread.kernelThread !== undefined) {
      this.kernel.scheduler.remove(thread.kernelThread);
      thread.kernelThread = undefined;
    }
    if (thread.kernelStack !== undefined) freeStack(thread.kernelStack);
    thread.kernelStack = undefined;
    freeStack(thread);
  }

  /** Throws what became of a run that was to end with one of these conditions. */
  #judge(until: readonly ThreadCondition[], result: RunResult, limited = false): void {
    for (const { thread } of until)
      if (thread.crash !== undefined) throw new GuestCrash(thread, thread.crash);
    if (until.length > 0 && result.reason !== 'condition' && !limited)
      throw new KernelError({
        rule: 'conditionNeverMet',
        status: 'STATUS_IO_TIMEOUT',
        message: describeUnmet(until, result),
      });
  }
}

/** What a thread runs on: a stack, and in a process a TEB. */
interface StackAndTeb {
  readonly stack: ThreadStack;
  readonly teb: bigint | undefined;
}

function createStack(domain: ImageDomain, threadId: number): StackAndTeb {
  const environment = domain.process?.environment;
  let teb: bigint | undefined;
  const stack = ThreadStack.allocate(domain, (limit) => {
    if (teb !== undefined) environment?.setStackLimit(teb, limit);
  });
  try {
    teb = environment?.createTeb(threadId, stack);
  } catch (error) {
    stack.free();
    throw error;
  }
  return { stack, teb };
}

function freeStack({ stack, teb }: StackAndTeb): void {
  const { process } = stack.domain;
  if (process?.terminated === true) return;
  if (teb !== undefined) process?.environment?.destroyTeb(teb);
  stack.free();
}

function describeUnmet(until: readonly ThreadCondition[], result: RunResult): string {
  const wishes = until.map(({ thread, address }) =>
    address === undefined
      ? `thread ${thread.id} to return`
      : `thread ${thread.id} to reach ${thread.describe(address)}`,
  );
  const standing = until.map(({ thread }) => {
    const waits = thread.wait === undefined ? '' : `, waiting for ${thread.wait.reason}`;
    return thread.finished
      ? `thread ${thread.id} has ended`
      : `thread ${thread.id} is at ${thread.describe(thread.pc)}${waits}`;
  });
  const why = {
    idle: 'nothing is left to run',
    gathered: 'all processors are gathered in a rendezvous',
    instructionLimit: `${CALL_LIMIT} instructions were executed`,
    condition: '',
  }[result.reason];
  return `waited for ${wishes.join(' or ')}, but ${why}; ${standing.join(', ')}`;
}
