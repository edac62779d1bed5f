import { argumentBits, formatAddress } from '../../cpu/index.js';
import {
  ANY,
  assertAddress,
  assertArgument,
  instanceOf,
  KernelError,
  listOf,
  OBJECT,
  type OptionTable,
  optional,
  shown,
  TEXT,
  WHOLE,
  whole,
} from '../common/index.js';
import { ImageDomain, insideInstruction } from '../images/index.js';
import { resultRegister } from './call-result.js';
import type { ThreadNotifications } from './guest-call.js';
import { GuestCrash } from './guest-crash.js';
import type { ModeContexts } from './mode-contexts.js';
import type {
  GuestFunctionCall,
  RunOptions,
  ThreadProcess,
  ThreadRunnerOwner,
  ThreadSystem,
} from './owners.js';
import type { RunResult, Scheduler } from './scheduler.js';
import type { StackFrame } from './stack-frame.js';
import { type Requestor, Thread, type ThreadCondition, threadFields } from './thread.js';
import { ThreadStack } from './thread-stack.js';

/** How a thread is started. */
export interface ThreadOptions {
  /** How it is told of. Default: by its start address. */
  readonly name?: string;
  /** Where its code is. Default: the domain that its start address lies in. */
  readonly domain?: ImageDomain;
  /** Index of the only processor that may run it. */
  readonly affinity?: number;
  /** KIRQL that it starts at. Default PASSIVE_LEVEL. */
  readonly irql?: number;
  /** Kernel code of a thread's system service: it runs in that thread's process and address space. */
  readonly onBehalfOf?: Requestor;
  /** What it calls before its own function, and when that has returned or ends it. */
  readonly notifications?: ThreadNotifications;
}

type Arguments = readonly (bigint | number)[];

const PARAMETERS = listOf(ANY, 'a list of arguments');

/** What {@link ThreadOptions} may be. */
export const THREAD_OPTIONS: OptionTable<ThreadOptions> = {
  name: optional(TEXT),
  domain: optional(instanceOf(ImageDomain, 'a domain: process.domain, session.domain')),
  affinity: optional(WHOLE),
  irql: optional(whole(0, 31, 'a KIRQL: 0 to 31')),
  onBehalfOf: optional(OBJECT),
  notifications: optional(OBJECT),
};

const CALL_LIMIT = 50_000_000;

/** Makes threads with their stacks and lets them run. */
export class ThreadRunner implements ThreadSystem {
  /** Threads that have not been given back. */
  readonly #alive = new Set<Thread>();
  readonly #listeners = new Set<(call: GuestFunctionCall) => void>();

  constructor(
    private readonly owner: ThreadRunnerOwner,
    private readonly modes: ModeContexts,
  ) {}

  get scheduler(): Scheduler {
    return this.owner.scheduler;
  }

  stackWalk(thread: Thread): readonly StackFrame[] {
    return this.owner.stackWalk(thread);
  }

  /** A thread that will call the function at `address`. */
  createThread(address: bigint, parameters: Arguments = [], options: ThreadOptions = {}): Thread {
    this.#tell(address, parameters, options);
    return this.create(address, parameters, options);
  }

  /** Calls a function on a thread of its own, which runs alone; returns the finished thread. */
  callThread(address: bigint, parameters: Arguments = [], options: ThreadOptions = {}): Thread {
    this.#tell(address, parameters, options);
    return this.call(address, parameters, options);
  }

  /** As {@link callThread}, but returns the whole result register. */
  call64(address: bigint, parameters: Arguments = [], options: ThreadOptions = {}): bigint {
    const perform = (target: bigint) => resultRegister(this.callThread(target, parameters, options));
    const { aroundCall } = this.owner;
    return aroundCall === undefined
      ? perform(address)
      : aroundCall(this.#describeCall(address, parameters, options), perform);
  }

  /** Tells `listener` of each function that somebody wants to be called, or a thread to be started at, before it is. */
  onCall(listener: (call: GuestFunctionCall) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  #describeCall(target: bigint, parameters: Arguments, options: ThreadOptions): GuestFunctionCall {
    assertAddress(target);
    const { owner } = this;
    const domain = options.domain ?? owner.domainOf(target);
    return { target, arguments: parameters, domain, initiator: owner.isLoading() ? 'loader' : 'caller' };
  }

  #tell(target: bigint, parameters: Arguments, options: ThreadOptions): void {
    if (this.#listeners.size === 0) return;
    const call = this.#describeCall(target, parameters, options);
    for (const listener of [...this.#listeners]) listener(call);
  }

  /** A thread of the kernel's own, such as a DPC's: nobody is told. */
  create(address: bigint, parameters: Arguments, options: ThreadOptions): Thread {
    assertAddress(address);
    assertArgument(PARAMETERS, parameters, 'parameters');
    for (const parameter of parameters) argumentBits(parameter);
    const { owner } = this;
    const domain = options.domain ?? owner.domainOf(address);
    owner.bugChecks.assertRunning(`call ${describeIn(domain, address)}`);
    const client = options.onBehalfOf?.thread;
    const holder = owner.processOf(domain);
    const process = client?.process ?? holder;
    const affinity = options.affinity ?? client?.affinity;
    if (affinity !== undefined && !owner.scheduler.hasProcessor(affinity))
      throw new KernelError({
        rule: 'threadAffinity',
        status: 'STATUS_INVALID_PARAMETER',
        place: describeIn(domain, address),
        message: `there is no processor ${affinity} for the thread to run on`,
      });
    const id = owner.nextId();
    const { stack, teb } =
      (client && threadFields(client).kernelStack) ?? this.#createStack(domain, holder, id);
    if (client !== undefined) threadFields(client).kernelStack = { stack, teb };
    const thread = new Thread({
      system: this,
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
      ...(options.notifications === undefined ? {} : { notifications: options.notifications }),
      ...(teb === undefined ? {} : { teb }),
      start: (processor) => {
        this.modes.load(processor, domain);
        domain.architecture.prepareCall(processor, {
          target: address,
          arguments: parameters,
          stackTop: stack.end,
        });
        if (teb !== undefined) holder.environment?.setTebRegister(processor, teb);
      },
    });
    owner.scheduler.add(thread);
    this.#alive.add(thread);
    return thread;
  }

  /** Threads that have ended keep their stacks, for whoever looks at them, until there is no room for another. */
  #createStack(domain: ImageDomain, holder: ThreadProcess, id: number): StackAndTeb {
    try {
      return createStack(domain, holder, id);
    } catch (error) {
      const ended = this.#ended.filter((thread) => thread.domain === domain);
      if (!(error instanceof KernelError) || ended.length === 0) throw error;
      for (const thread of ended) this.destroy(thread);
      return createStack(domain, holder, id);
    }
  }

  /** No memory is left: that of threads which have ended is given back. */
  giveBackEnded(): void {
    for (const thread of this.#ended) this.destroy(thread);
  }

  get #ended(): Thread[] {
    return [...this.#alive].filter((thread) => thread.finished);
  }

  run(options: RunOptions = {}): RunResult {
    const { scheduler, bugChecks } = this.owner;
    bugChecks.assertRunning('run threads');
    const { instructions = CALL_LIMIT } = options;
    if (typeof instructions !== 'number' || !(instructions >= 0))
      throw new KernelError({
        rule: 'run.instructions',
        status: 'STATUS_INVALID_PARAMETER',
        message: `${shown(instructions)} is no number of instructions`,
      });
    const until = options.until === undefined ? [] : [options.until].flat();
    for (const { thread } of until)
      if (!thread.finished && thread.state !== 'waiting') scheduler.place(thread);
    const result = scheduler.run(until, instructions);
    this.#judge(until, result, options.instructions !== undefined);
    this.owner.hasRun();
    return result;
  }

  /** As {@link callThread}, for the kernel's own: nobody is told. */
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
    this.#judge([thread.returns()], this.owner.scheduler.runAlone(thread, CALL_LIMIT));
    this.owner.hasRun();
  }

  /** Gives back what a thread has that is over. */
  destroy(thread: Thread): void {
    if (!this.#alive.delete(thread)) return;
    this.owner.scheduler.remove(thread);
    // Kernel code of a system service ran on a stack that its thread keeps.
    if (thread.onBehalfOf !== undefined) return;
    const fields = threadFields(thread);
    if (fields.kernelThread !== undefined) this.owner.scheduler.remove(fields.kernelThread);
    fields.kernelThread = undefined;
    if (fields.kernelStack !== undefined) this.#freeStack(fields.kernelStack);
    fields.kernelStack = undefined;
    this.#freeStack(thread);
  }

  #freeStack({ stack, teb }: StackAndTeb): void {
    const process = this.owner.processOf(stack.domain);
    if (process.terminated) return;
    if (teb !== undefined) process.environment?.destroyTeb(teb);
    stack.free();
  }

  /** Throws what became of a run that was to end with one of these conditions. */
  #judge(until: readonly ThreadCondition[], result: RunResult, limited = false): void {
    for (const { thread } of until)
      if (thread.crash !== undefined) throw new GuestCrash(thread, thread.crash);
    if (until.length > 0 && result.reason === 'bugCheck') throw result.bugCheck;
    if (until.length > 0 && result.reason !== 'condition' && !limited)
      throw new KernelError({
        rule: 'conditionNeverMet',
        status: 'STATUS_IO_TIMEOUT',
        place: until.map(({ thread }) => thread.describe(thread.pc)).join(', '),
        message: describeUnmet(until, result),
      });
  }
}

/** What a thread runs on: a stack, and in a process a TEB. */
interface StackAndTeb {
  readonly stack: ThreadStack;
  readonly teb: bigint | undefined;
}

function createStack(domain: ImageDomain, { environment }: ThreadProcess, threadId: number): StackAndTeb {
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

const describeIn = (domain: ImageDomain, address: bigint): string =>
  domain.imageAt(address)?.describe(address) ?? formatAddress(domain.architecture.name, address);

function describeWish(thread: Thread, address: bigint): string {
  const image = thread.domain.imageAt(address);
  const inside = image === undefined ? undefined : insideInstruction(image, address);
  return `${thread.describe(address)}${inside === undefined ? '' : `, which lies ${inside}`}`;
}

function describeUnmet(until: readonly ThreadCondition[], result: RunResult): string {
  const wishes = until.map(({ thread, address }) =>
    address === undefined
      ? `thread ${thread.id} to return`
      : `thread ${thread.id} to reach ${describeWish(thread, address)}`,
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
    bugCheck: '',
  }[result.reason];
  return `waited for ${wishes.join(' or ')}, but ${why}; ${standing.join(', ')}`;
}
