import type { Exit, Machine, Processor, RunOptions } from '../../cpu/index.js';
import { IRQL, irqlName, KernelError, type SeededRandom, STATUS_TIMEOUT } from '../common/index.js';
import type { DpcQueues } from './dpc.js';
import type { Thread, ThreadCondition } from './thread.js';

/**
 * What a run ended with: the condition that came true; no thread is left that can run; the budget is used; or all
 * processors are gathered in a rendezvous.
 */
export type RunResult =
  | { readonly reason: 'condition'; readonly condition: ThreadCondition }
  | { readonly reason: 'idle' }
  | { readonly reason: 'gathered' }
  | { readonly reason: 'instructionLimit' };

/** Decides what becomes of a thread whose processor left the guest; the kernel implements it. */
export type ExitHandler = (thread: Thread, processor: Processor, exit: Exit) => void;

/**
 * Runs a slice of a thread in place of {@link Processor.run}, with the same outcome: a debugger, which may stop in the
 * middle of it. The slices stay the same, so that the interleaving does, too.
 */
export interface SliceRunner {
  runSlice(thread: Thread, processor: Processor, options: RunOptions): Exit;
}

const LONGEST_SLICE = 200;
/** Slices after which a thread gives its processor to one that waits for it. */
const QUANTUM = 16;
/** After so many turns for each processor in which threads have only spun, nothing will happen any more. */
const IDLE_SPINS = 8;

/**
 * Puts threads on processors, one slice of seeded length after the other, in one host thread: the same seed gives the
 * same interleaving. Time is counted in executed instructions.
 */
export class Scheduler {
  /** Undefined: the processor itself. */
  sliceRunner: SliceRunner | undefined;
  /** Deferred procedure calls, which come before threads. */
  dpcs: DpcQueues | undefined;
  readonly #ready: Thread[] = [];
  readonly #waiting = new Set<Thread>();
  readonly #current = new Map<Processor, Thread>();
  readonly #slices = new Map<Processor, number>();
  #turn = 0;
  #gathered = false;
  #time = 0n;
  /** Turns of spinning threads since the last instruction. */
  #spins = 0;

  constructor(
    private readonly machine: Machine,
    private readonly random: SeededRandom,
    private readonly handle: ExitHandler,
  ) {}

  add(thread: Thread): void {
    this.#ready.push(thread);
  }

  /** Every thread that has not ended. */
  get threads(): Thread[] {
    return [...this.#current.values(), ...this.#ready, ...this.#waiting].filter((thread) => !thread.finished);
  }

  threadOn(processor: Processor): Thread | undefined {
    return this.#current.get(processor);
  }

  /** Ticks since boot: one for each instruction that any processor has executed, and those slept through. */
  get time(): bigint {
    return this.#time;
  }

  /** Do all processors stand in a rendezvous? */
  get gathered(): boolean {
    return this.#gathered;
  }

  /**
   * Runs one thread alone, on a processor of its choice, until its function has returned; all others stand still, unless
   * it waits for one of them.
   */
  runAlone(thread: Thread, limit: number): RunResult {
    let left = limit;
    while (!thread.finished) {
      if (left <= 0) return { reason: 'instructionLimit' };
      this.#drainDpcs(left);
      if (thread.wait !== undefined) this.wake();
      if (thread.state === 'waiting' && thread.wait?.spins !== true) {
        const result = this.#runOthersUntil(() => thread.state !== 'waiting', left);
        if (result !== undefined) return result;
        continue;
      }
      this.place(thread);
      left -= Math.max(1, this.runThread(thread, this.#untilTimer(left)));
    }
    return { reason: 'condition', condition: thread.returns() };
  }

  /** Runs until one of `conditions` holds, nothing is left to run, or `limit` instructions have been executed. */
  run(conditions: readonly ThreadCondition[], limit: number): RunResult {
    const passed = this.#standingOnCondition(conditions);
    let left = limit;
    for (;;) {
      const met = conditions.find((condition) => this.#holds(condition, passed));
      if (met !== undefined) return { reason: 'condition', condition: met };
      if (left <= 0) return { reason: 'instructionLimit' };
      const slice = this.#runSlice(left, conditions);
      if (typeof slice === 'string') return { reason: slice };
      left -= Math.max(1, slice.instructions);
      passed.delete(slice.thread);
    }
  }

  /** Runs one thread on its processor for at most `instructions`, or to the next condition of its own; returns how many. */
  runThread(thread: Thread, instructions: number, conditions: readonly ThreadCondition[] = []): number {
    const processor = thread.processor;
    if (processor === undefined) throw new Error(`thread ${thread.id} is on no processor`);
    if (thread.wait?.spins === true && !this.#endSpin(thread, processor)) {
      if (thread.finished) {
        thread.wait = undefined;
        this.#leave(thread);
      }
      return 1;
    }
    const breakpoints = conditions.flatMap(({ thread: owner, address }) =>
      owner === thread && address !== undefined ? [address] : [],
    );
    thread.state = 'running';
    const options = { instructions, breakpoints };
    const exit = this.sliceRunner?.runSlice(thread, processor, options) ?? processor.run(options);
    thread.instructions += exit.instructions;
    if (exit.instructions > 0) this.#spins = 0;
    this.#time += BigInt(exit.instructions);
    if (exit.reason !== 'instructionLimit' && exit.reason !== 'breakpoint')
      this.handle(thread, processor, exit);
    if (thread.finished || (thread.wait !== undefined && thread.wait.spins !== true)) this.#leave(thread);
    return exit.instructions;
  }

  /** Takes a thread that ended, or that is given up, off the lists. */
  remove(thread: Thread): void {
    this.#leave(thread);
    this.#waiting.delete(thread);
    const index = this.#ready.indexOf(thread);
    if (index >= 0) this.#ready.splice(index, 1);
  }

  /** Puts a ready thread on the first free processor that it may use, or takes one from the thread that has it. */
  place(thread: Thread): Processor {
    if (thread.processor !== undefined) return thread.processor;
    const allowed = this.machine.processors.filter((processor) => mayRun(thread, processor));
    const [first] = allowed;
    if (first === undefined) throw new RangeError(`thread ${thread.id} may run on no processor`);
    const isBelow = (candidate: Processor) => (this.#current.get(candidate)?.irql ?? 0) < IRQL.DISPATCH_LEVEL;
    const processor =
      allowed.find((candidate) => !this.#current.has(candidate)) ?? allowed.find(isBelow) ?? first;
    this.#preempt(processor, 'front');
    const index = this.#ready.indexOf(thread);
    if (index >= 0) this.#ready.splice(index, 1);
    this.#assign(processor, thread);
    return processor;
  }

  /** Returns a thread to the processor that it was on, when serving its call has run other threads there. */
  putBack(thread: Thread, processor: Processor): void {
    if (thread.finished || thread.processor === processor) return;
    this.#leave(thread);
    this.#preempt(processor, 'front');
    const index = this.#ready.indexOf(thread);
    if (index >= 0) this.#ready.splice(index, 1);
    this.#assign(processor, thread);
    thread.state = 'running';
  }

  /**
   * Gathers all processors in a generic DPC, as KeGenericCallDpc does, so that whoever gathered them can act while no
   * thread executes anything. A thread at DISPATCH_LEVEL or above lets no DPC in: its processor runs on, alone, until it
   * has lowered its IRQL.
   * @param timeout instructions that all such threads together may take
   * @returns lets the processors go when it is disposed of
   * @throws KernelError STATUS_IO_TIMEOUT when a processor does not come; nobody is held then
   */
  gather(timeout: number): Disposable {
    if (this.#gathered)
      throw new KernelError({
        rule: 'rendezvous.nested',
        status: 'STATUS_OPERATION_IN_PROGRESS',
        message: 'the processors are gathered already',
      });
    let left = timeout;
    const isBusy = (thread: Thread) =>
      thread.processor !== undefined && thread.irql >= IRQL.DISPATCH_LEVEL && !thread.finished;
    for (let busy = [...this.#current.values()]; busy.length > 0; busy = busy.filter(isBusy)) {
      for (const thread of busy) {
        while (isBusy(thread)) {
          if (left <= 0) throw this.#stuck(thread, timeout);
          left -= Math.max(1, this.runThread(thread, Math.min(left, LONGEST_SLICE)));
          // One that spins waits for another of them.
          if (thread.wait?.spins === true) break;
        }
      }
    }
    this.#gathered = true;
    return {
      [Symbol.dispose]: () => {
        this.#gathered = false;
      },
    };
  }

  /** Ends the waits that have come true. */
  wake(): void {
    this.dpcs?.expire(this.#time);
    for (const thread of this.#waiting) {
      const { wait } = thread;
      if (wait === undefined) continue;
      const ready = wait.ready();
      if (thread.finished) {
        // What it waits for has become unreadable: it ended by that.
        this.#waiting.delete(thread);
        thread.wait = undefined;
        continue;
      }
      const result =
        ready ??
        (wait.deadline !== undefined && wait.deadline <= this.#time
          ? (wait.timeoutResult ?? STATUS_TIMEOUT)
          : undefined);
      if (result === undefined) continue;
      this.#waiting.delete(thread);
      thread.wake(result);
      this.#ready.push(thread);
    }
  }

  #runSlice(
    limit: number,
    conditions: readonly ThreadCondition[],
  ): { thread: Thread; instructions: number } | 'idle' | 'gathered' {
    if (this.#gathered) return 'gathered';
    this.wake();
    let processor = this.#nextProcessor();
    if (processor === undefined && this.#sleepToNextDeadline()) processor = this.#nextProcessor();
    const thread = processor === undefined ? undefined : this.#threadFor(processor);
    if (thread === undefined) return 'idle';
    if (this.#spins > IDLE_SPINS * this.machine.processors.length && !this.#sleepToNextDeadline())
      return 'idle';
    const slice = Math.min(limit, this.random.between(1, LONGEST_SLICE));
    return { thread, instructions: this.runThread(thread, slice, conditions) };
  }

  /** A thread that spins asks once more; false: it has to go on. */
  #endSpin(thread: Thread, processor: Processor): boolean {
    const result = thread.wait?.ready();
    this.#time += 1n;
    if (thread.finished) return false;
    if (result === undefined) {
      this.#spins += 1;
      return false;
    }
    thread.wait = undefined;
    thread.architecture.setResult(processor, result);
    return true;
  }

  /** A DPC of this processor interrupts what runs there below DISPATCH_LEVEL. It may then go on elsewhere (modelled). */
  #startDpc(processor: Processor): Thread | undefined {
    const current = this.#current.get(processor);
    if (this.dpcs?.isPending(processor.index) !== true) return undefined;
    if (current !== undefined && current.irql >= IRQL.DISPATCH_LEVEL) return undefined;
    const dpc = this.dpcs.start(processor.index);
    if (dpc === undefined) return undefined;
    this.#preempt(processor, 'front');
    this.#ready.splice(this.#ready.indexOf(dpc), 1);
    this.#assign(processor, dpc);
    return dpc;
  }

  /** While one thread runs alone, DPCs run all the same: no thread can hold them off below DISPATCH_LEVEL. */
  #drainDpcs(limit: number): void {
    this.dpcs?.expire(this.#time);
    for (let left = limit; left > 0 && this.#spins <= IDLE_SPINS * this.machine.processors.length; ) {
      for (const processor of this.machine.processors) this.#startDpc(processor);
      const active = this.dpcs?.active ?? [];
      if (active.length === 0) return;
      for (const dpc of active) {
        this.place(dpc);
        left -= Math.max(1, this.runThread(dpc, LONGEST_SLICE));
      }
    }
  }

  /** Instructions until the next timer expires, at most `limit`. */
  #untilTimer(limit: number): number {
    const due = this.dpcs?.nextDue;
    if (due === undefined) return limit;
    return Math.min(limit, Math.max(1, Number(due - this.#time)));
  }

  #runOthersUntil(done: () => boolean, limit: number): RunResult | undefined {
    for (let left = limit; left > 0; ) {
      this.wake();
      if (done()) return undefined;
      const slice = this.#runSlice(left, []);
      if (typeof slice === 'string') return { reason: slice };
      left -= Math.max(1, slice.instructions);
    }
    return { reason: 'instructionLimit' };
  }

  /** Nothing can run: time passes until the first wait ends. */
  #sleepToNextDeadline(): boolean {
    let next: bigint | undefined;
    for (const { wait } of this.#waiting) {
      const deadline = wait?.deadline;
      if (deadline !== undefined && (next === undefined || deadline < next)) next = deadline;
    }
    const timer = this.dpcs?.nextDue;
    if (timer !== undefined && (next === undefined || timer < next)) next = timer;
    if (next === undefined) return false;
    this.#spins = 0;
    if (next > this.#time) this.#time = next;
    this.wake();
    return true;
  }

  #leave(thread: Thread): void {
    const { processor } = thread;
    thread.detach();
    if (processor !== undefined && this.#current.get(processor) === thread) this.#current.delete(processor);
    if (thread.wait !== undefined) this.#waiting.add(thread);
  }

  #assign(processor: Processor, thread: Thread): void {
    // It may fail, when there is no memory for the stack: the processor has no thread then.
    thread.attach(processor);
    this.#current.set(processor, thread);
    this.#slices.set(processor, 0);
  }

  #preempt(processor: Processor, queue: 'front' | 'back'): void {
    const previous = this.#current.get(processor);
    if (previous === undefined) return;
    this.#current.delete(processor);
    previous.detach();
    previous.state = 'ready';
    if (queue === 'front') this.#ready.unshift(previous);
    else this.#ready.push(previous);
  }

  #threadFor(processor: Processor): Thread | undefined {
    const dpc = this.#startDpc(processor);
    if (dpc !== undefined) return dpc;
    const current = this.#current.get(processor);
    const slices = (this.#slices.get(processor) ?? 0) + 1;
    this.#slices.set(processor, slices);
    if (current !== undefined && (slices <= QUANTUM || current.irql >= IRQL.DISPATCH_LEVEL)) return current;
    const index = this.#ready.findIndex((thread) => mayRun(thread, processor));
    const [next] = index < 0 ? [] : this.#ready.splice(index, 1);
    if (next === undefined) return current;
    this.#preempt(processor, 'back');
    this.#assign(processor, next);
    return next;
  }

  /** Round robin over the processors that have a thread or could get one. */
  #nextProcessor(): Processor | undefined {
    const { processors } = this.machine;
    for (let i = 0; i < processors.length; i++) {
      const processor = processors[(this.#turn + i) % processors.length];
      if (processor === undefined) continue;
      if (!this.#hasWork(processor)) continue;
      this.#turn = (processor.index + 1) % processors.length;
      return processor;
    }
    return undefined;
  }

  #hasWork(processor: Processor): boolean {
    return (
      this.#current.has(processor) ||
      this.dpcs?.isPending(processor.index) === true ||
      this.#ready.some((thread) => mayRun(thread, processor))
    );
  }

  #holds({ thread, address }: ThreadCondition, passed: ReadonlySet<Thread>): boolean {
    if (address === undefined) return thread.finished;
    return !thread.finished && !passed.has(thread) && thread.pc === address;
  }

  /** Threads that stand on their breakpoint as the run begins must leave it before it counts. */
  #standingOnCondition(conditions: readonly ThreadCondition[]): Set<Thread> {
    return new Set(
      conditions.flatMap(({ thread, address }) =>
        address !== undefined && thread.started && thread.pc === address ? [thread] : [],
      ),
    );
  }

  #stuck(thread: Thread, timeout: number): KernelError {
    return new KernelError({
      rule: 'rendezvous.timeout',
      status: 'STATUS_IO_TIMEOUT',
      message: `processor ${thread.processor?.index} did not come to the rendezvous within ${timeout} instructions: thread ${thread.id} (${thread.name}) is at ${irqlName(thread.irql)} in ${thread.describe(thread.pc)}`,
      hint: 'a thread that holds a spin lock keeps its processor; let it release the lock and try again',
    });
  }
}

function mayRun(thread: Thread, processor: Processor): boolean {
  return thread.affinity === undefined || thread.affinity === processor.index;
}
