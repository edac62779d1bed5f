import { type Exit, type Machine, type Processor, type RunOptions, setTime } from '../../cpu/index.js';
import {
  type BugCheck,
  type BugCheckState,
  IRQL,
  irqlName,
  KernelError,
  type SeededRandom,
} from '../common/index.js';
import type { DpcQueues } from './dpc.js';
import { ProcessorThreads } from './processor-threads.js';
import { type SliceObserver, type SliceRunner, Slices } from './slices.js';
import { LONGEST_SLICE, SlicesAhead, sliceLength } from './slices-ahead.js';
import { type Thread, type ThreadCondition, threadFields } from './thread.js';
import { changeThread } from './thread-control.js';
import { Waits } from './waits.js';

/**
 * What a run ended with: the condition that came true; no thread is left that can run; the budget is used; all
 * processors are gathered in a rendezvous; or the system has stopped.
 */
export type RunResult =
  | { readonly reason: 'condition'; readonly condition: ThreadCondition }
  | { readonly reason: 'idle' }
  | { readonly reason: 'gathered' }
  | { readonly reason: 'bugCheck'; readonly bugCheck: BugCheck }
  | { readonly reason: 'instructionLimit' };

export interface SchedulerOwner {
  readonly machine: Machine;
  /** Whether the system has stopped: no processor runs then. */
  readonly bugChecks: BugCheckState;
  /** Decides the length of the slices. */
  readonly random: SeededRandom;
  /** Deferred procedure calls, which come before threads. */
  readonly dpcs: DpcQueues;
  /** Decides what becomes of a thread whose processor left the guest. */
  dispatchExit(thread: Thread, processor: Processor, exit: Exit): void;
}

/** After so many turns for each processor in which threads have only spun, nothing will happen any more. */
const IDLE_SPINS = 8;

/**
 * Puts threads on processors, one slice of seeded length after the other, in one host thread: the same seed gives the
 * same interleaving. Time is counted in executed instructions.
 */
export class Scheduler {
  readonly #owner: SchedulerOwner;
  readonly #processors: ProcessorThreads;
  readonly #waits: Waits;
  readonly #slices = new Slices();
  readonly #ahead: SlicesAhead;
  #gathered = false;

  constructor(owner: SchedulerOwner) {
    this.#owner = owner;
    this.#processors = new ProcessorThreads(owner.machine.processors);
    this.#ahead = new SlicesAhead(owner.random);
    this.#waits = new Waits(
      owner.dpcs,
      (thread) => this.#processors.add(thread),
      (ticks) => {
        setTime(owner.machine, owner.machine.time + Number(ticks));
      },
    );
  }

  add(thread: Thread): void {
    this.#processors.add(thread);
  }

  /** Every thread that has not ended. */
  get threads(): readonly Thread[] {
    return [...this.#processors.all, ...this.#waits.all].filter((thread) => !thread.finished);
  }

  /** @param index of a processor */
  hasProcessor(index: number): boolean {
    return this.#owner.machine.processors.some((processor) => processor.index === index);
  }

  threadOn(processor: Processor): Thread | undefined {
    return this.#processors.on(processor);
  }

  /** Ticks since boot: one for each instruction that any processor has executed, and those slept through. */
  get time(): bigint {
    return this.#waits.time;
  }

  /** Do all processors stand in a rendezvous? */
  get gathered(): boolean {
    return this.#gathered;
  }

  /** From now on slices are run by `runner`, around those that came before, until what is returned is disposed of. */
  use(runner: SliceRunner): Disposable {
    return this.#slices.use(runner);
  }

  /** Tells `observer` of every slice until what is returned is disposed of. */
  watch(observer: SliceObserver): Disposable {
    return this.#slices.watch(observer);
  }

  /** Runs a thread where it is, as the scheduler would, with nothing done about how it ends; for who schedules itself. */
  runSlice(thread: Thread, processor: Processor, options: RunOptions): Exit {
    this.#assertRunning(thread);
    const exit = this.#slices.run(thread, processor, options);
    threadFields(thread).instructions += exit.instructions;
    return exit;
  }

  /**
   * Runs one thread alone, on a processor of its choice, until its function has returned; all others stand still, unless
   * it waits for one of them.
   */
  runAlone(thread: Thread, limit: number): RunResult {
    let left = limit;
    while (!thread.finished) {
      const stopped = this.#stopped;
      if (stopped !== undefined) return stopped;
      if (left <= 0) return { reason: 'instructionLimit' };
      this.#drainDpcs(left);
      if (this.#stopped !== undefined) continue;
      if (thread.wait !== undefined) this.wake();
      const active = kernelHalf(thread);
      if (active.state === 'waiting' && active.wait?.spins !== true) {
        const result = this.#runOthersUntil(
          () => kernelHalf(thread) !== active || active.state !== 'waiting',
          left,
        );
        if (result !== undefined) return result;
        continue;
      }
      this.place(active);
      left -= Math.max(1, this.runThread(active, this.#waits.untilTimer(left)));
    }
    return { reason: 'condition', condition: thread.returns() };
  }

  /** Runs until one of `conditions` holds, nothing is left to run, or `limit` instructions have been executed. */
  run(conditions: readonly ThreadCondition[], limit: number): RunResult {
    this.#owner.machine.assertIdle('run threads');
    const passed = standingOnCondition(conditions);
    let left = limit;
    for (;;) {
      const met = conditions.find((condition) => holds(condition, passed));
      if (met !== undefined) return { reason: 'condition', condition: met };
      const stopped = this.#stopped;
      if (stopped !== undefined) return stopped;
      if (left <= 0) return { reason: 'instructionLimit' };
      const slice = this.#runNext(left, conditions);
      if (typeof slice === 'string') return { reason: slice };
      left -= Math.max(1, slice.instructions);
      passed.delete(slice.thread);
    }
  }

  /** Runs one thread on its processor for at most `instructions`, or to the next condition of its own; returns how many. */
  runThread(thread: Thread, instructions: number, conditions: readonly ThreadCondition[] = []): number {
    return this.#runThread(thread, instructions, conditions);
  }

  /** `settle`: is told how the run ended, before anything is done about it. */
  #runThread(
    thread: Thread,
    instructions: number,
    conditions: readonly ThreadCondition[],
    settle?: (exit: Exit) => void,
  ): number {
    const processor = thread.processor;
    if (processor === undefined) throw new Error(`thread ${thread.id} is on no processor`);
    this.#assertRunning(thread);
    if (thread.wait?.spins === true && !this.#waits.endSpin(thread, processor)) {
      if (thread.finished) {
        changeThread(thread, { wait: undefined });
        this.#leave(thread);
      }
      return 1;
    }
    const breakpoints = conditions.flatMap(({ thread: owner, address }) =>
      owner === thread && address !== undefined ? [address] : [],
    );
    const fields = threadFields(thread);
    fields.state = 'running';
    const exit = this.#slices.run(thread, processor, { instructions, breakpoints });
    settle?.(exit);
    fields.instructions += exit.instructions;
    this.#waits.executed(exit.instructions);
    if (exit.reason !== 'instructionLimit' && exit.reason !== 'breakpoint')
      this.#owner.dispatchExit(thread, processor, exit);
    if (thread.finished || (thread.wait !== undefined && thread.wait.spins !== true)) this.#leave(thread);
    if (thread.crash !== undefined) this.#crashRequestors(thread);
    return exit.instructions;
  }

  /** Takes a thread that ended, or that is given up, off the lists. */
  remove(thread: Thread): void {
    this.#processors.remove(thread);
    this.#waits.remove(thread);
  }

  /** Puts a ready thread on the first free processor that it may use, or takes one from the thread that has it. */
  place(thread: Thread): Processor {
    return this.#processors.place(thread);
  }

  /** Returns a thread to the processor that it was on, when serving its call has run other threads there. */
  putBack(thread: Thread, processor: Processor): void {
    if (thread.finished || thread.processor === processor) return;
    this.#leave(thread);
    this.#processors.give(processor, thread);
    changeThread(thread, { state: 'running' });
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
        place: 'rendezvous',
        message: 'the processors are gathered already',
      });
    let left = timeout;
    const isBusy = (thread: Thread) =>
      thread.processor !== undefined && thread.irql >= IRQL.DISPATCH_LEVEL && !thread.finished;
    for (let busy = this.#processors.running; busy.length > 0; busy = busy.filter(isBusy)) {
      for (const thread of busy) {
        while (isBusy(thread)) {
          if (left <= 0) throw stuck(thread, timeout);
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
    this.#waits.wake();
  }

  get #stopped(): RunResult | undefined {
    const bugCheck = this.#owner.bugChecks.current;
    return bugCheck === undefined ? undefined : { reason: 'bugCheck', bugCheck };
  }

  #assertRunning({ id, name }: Thread): void {
    this.#owner.bugChecks.assertRunning(`run thread ${id} (${name})`);
  }

  #runNext(
    limit: number,
    conditions: readonly ThreadCondition[],
  ): { thread: Thread; instructions: number } | 'idle' | 'gathered' {
    if (this.#gathered) return 'gathered';
    this.wake();
    let processor = this.#nextProcessor();
    for (let goesOn = true; processor === undefined && goesOn; ) {
      goesOn = this.#waits.sleep() && this.#waits.comesToAnEnd;
      processor = this.#nextProcessor();
    }
    const thread =
      processor === undefined ? undefined : (this.#startDpc(processor) ?? this.#processors.next(processor));
    if (thread === undefined) return 'idle';
    if (this.#onlySpins && !this.#waits.sleep()) return 'idle';
    if (processor !== undefined && this.#isAlone(thread, limit))
      return { thread, instructions: this.#runAhead(thread, processor, limit, conditions) };
    const slice = Math.min(limit, sliceLength(this.#owner.random));
    return { thread, instructions: this.runThread(thread, slice, conditions) };
  }

  /** Whether nothing can come between a thread's next slices, and nobody looks at them. */
  #isAlone(thread: Thread, limit: number): boolean {
    return (
      thread.wait === undefined &&
      this.#processors.all.length === 1 &&
      this.#waits.all.length === 0 &&
      this.#waits.untilTimer(limit) === limit &&
      !this.#slices.isWatched &&
      !this.#owner.machine.processors.some(({ index }) => this.#owner.dpcs.isPending(index))
    );
  }

  #runAhead(
    thread: Thread,
    processor: Processor,
    limit: number,
    conditions: readonly ThreadCondition[],
  ): number {
    const ahead = this.#ahead.take(limit);
    let charged = 0;
    const executed = this.#runThread(thread, ahead.instructions, conditions, (exit) => {
      const taken = ahead.settle(exit);
      this.#processors.ran(processor, taken.slices - 1);
      charged = taken.charged;
    });
    return Math.max(executed, charged);
  }

  /** What a thread's system service crashes in, it crashes in itself. */
  #crashRequestors({ crash, onBehalfOf }: Thread): void {
    const client = onBehalfOf?.thread;
    if (crash === undefined || client === undefined || client.finished) return;
    changeThread(client, { wait: undefined, state: 'crashed', crash });
    this.remove(client);
    this.#crashRequestors(client);
  }

  #nextProcessor(): Processor | undefined {
    return this.#processors.nextProcessor(({ index }) => this.#owner.dpcs.isPending(index));
  }

  /** Has nothing but spinning happened for so long that nothing else will? */
  get #onlySpins(): boolean {
    return this.#waits.spins > IDLE_SPINS * this.#owner.machine.processors.length;
  }

  /** A DPC of this processor interrupts what runs there below DISPATCH_LEVEL. It may then go on elsewhere (modelled). */
  #startDpc(processor: Processor): Thread | undefined {
    const { dpcs } = this.#owner;
    const current = this.#processors.on(processor);
    if (!dpcs.isPending(processor.index)) return undefined;
    if (current !== undefined && current.irql >= IRQL.DISPATCH_LEVEL) return undefined;
    const dpc = dpcs.start(processor.index);
    if (dpc !== undefined) this.#processors.give(processor, dpc);
    return dpc;
  }

  /** While one thread runs alone, DPCs run all the same: no thread can hold them off below DISPATCH_LEVEL. */
  #drainDpcs(limit: number): void {
    this.#waits.expireTimers();
    for (let left = limit; left > 0 && !this.#onlySpins && this.#stopped === undefined; ) {
      for (const processor of this.#owner.machine.processors) this.#startDpc(processor);
      const { active } = this.#owner.dpcs;
      if (active.length === 0) return;
      for (const dpc of active) {
        if (this.#stopped !== undefined) return;
        this.place(dpc);
        left -= Math.max(1, this.runThread(dpc, LONGEST_SLICE));
      }
    }
  }

  #runOthersUntil(done: () => boolean, limit: number): RunResult | undefined {
    for (let left = limit; left > 0; ) {
      this.wake();
      const stopped = this.#stopped;
      if (stopped !== undefined) return stopped;
      if (done()) return undefined;
      const slice = this.#runNext(left, []);
      if (typeof slice === 'string') return { reason: slice };
      left -= Math.max(1, slice.instructions);
    }
    return { reason: 'instructionLimit' };
  }

  #leave(thread: Thread): void {
    this.#processors.leave(thread);
    if (thread.wait !== undefined) this.#waits.add(thread);
  }
}

function holds({ thread, address }: ThreadCondition, passed: ReadonlySet<Thread>): boolean {
  if (address === undefined) return thread.finished;
  return !thread.finished && !passed.has(thread) && thread.pc === address;
}

/** Threads that stand on their breakpoint as the run begins must leave it before it counts. */
function standingOnCondition(conditions: readonly ThreadCondition[]): Set<Thread> {
  return new Set(
    conditions.flatMap(({ thread, address }) =>
      address !== undefined && thread.started && thread.pc === address ? [thread] : [],
    ),
  );
}

function stuck(thread: Thread, timeout: number): KernelError {
  return new KernelError({
    rule: 'rendezvous.timeout',
    status: 'STATUS_IO_TIMEOUT',
    place: thread.describe(thread.pc),
    message: `processor ${thread.processor?.index} did not come to the rendezvous within ${timeout} instructions: thread ${thread.id} (${thread.name}) is at ${irqlName(thread.irql)} in ${thread.describe(thread.pc)}`,
    hint: 'a thread that holds a spin lock keeps its processor; let it release the lock and try again',
  });
}

/** What runs when the thread runs: the code of its system service, if it is in one. */
function kernelHalf(thread: Thread): Thread {
  const { kernelThread } = thread;
  return kernelThread === undefined || kernelThread.finished ? thread : kernelHalf(kernelThread);
}
