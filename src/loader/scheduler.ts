import type { Exit, Machine, Processor } from '../cpu/index.js';
import type { SeededRandom } from './random.js';
import type { Thread, ThreadCondition } from './thread.js';

/** What a run ended with: the condition that came true, or that no thread is left to run, or that the budget is used. */
export type RunResult =
  | { readonly reason: 'condition'; readonly condition: ThreadCondition }
  | { readonly reason: 'idle' }
  | { readonly reason: 'instructionLimit' };

/** Decides what becomes of a thread whose processor left the guest; the kernel implements it. */
export type ExitHandler = (thread: Thread, processor: Processor, exit: Exit) => void;

const LONGEST_SLICE = 200;

/**
 * Puts threads on processors, one slice of seeded length after the other, in one host thread: the same seed gives the
 * same interleaving. A thread stays on its processor until it ends or the processor is needed.
 */
export class Scheduler {
  readonly #ready: Thread[] = [];
  readonly #current = new Map<Processor, Thread>();
  #turn = 0;

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
    return [...this.#current.values(), ...this.#ready].filter((thread) => !thread.finished);
  }

  threadOn(processor: Processor): Thread | undefined {
    return this.#current.get(processor);
  }

  /** Runs one thread alone, on a processor of its choice, until its function has returned; all others stand still. */
  runAlone(thread: Thread, limit: number): RunResult {
    this.place(thread);
    let left = limit;
    while (!thread.finished) {
      if (left <= 0) return { reason: 'instructionLimit' };
      left -= Math.max(1, this.runThread(thread, left));
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
      const processor = this.#nextProcessor();
      if (processor === undefined) return { reason: 'idle' };
      if (left <= 0) return { reason: 'instructionLimit' };
      const thread = this.#threadFor(processor);
      if (thread === undefined) continue;
      const slice = Math.min(left, this.random.between(1, LONGEST_SLICE));
      left -= Math.max(1, this.runThread(thread, slice, conditions));
      passed.delete(thread);
    }
  }

  /** Runs one thread on its processor for at most `instructions`, or to the next condition of its own; returns how many. */
  runThread(thread: Thread, instructions: number, conditions: readonly ThreadCondition[] = []): number {
    const processor = thread.processor;
    if (processor === undefined) throw new Error(`thread ${thread.id} is on no processor`);
    const breakpoints = conditions.flatMap(({ thread: owner, address }) =>
      owner === thread && address !== undefined ? [address] : [],
    );
    thread.state = 'running';
    const exit = processor.run({ instructions, breakpoints });
    thread.instructions += exit.instructions;
    if (exit.reason !== 'instructionLimit' && exit.reason !== 'breakpoint')
      this.handle(thread, processor, exit);
    if (thread.finished) {
      thread.detach();
      this.#current.delete(processor);
    }
    return exit.instructions;
  }

  /** Takes a thread that ended, or that is given up, off the lists. */
  remove(thread: Thread): void {
    thread.detach();
    for (const [processor, current] of this.#current) if (current === thread) this.#current.delete(processor);
    const index = this.#ready.indexOf(thread);
    if (index >= 0) this.#ready.splice(index, 1);
  }

  /** Puts a waiting thread on the first free processor, or takes one from the thread that has it. */
  place(thread: Thread): Processor {
    if (thread.processor !== undefined) return thread.processor;
    const [first] = this.machine.processors;
    if (first === undefined) throw new Error('a machine has at least one processor');
    const processor = this.machine.processors.find((candidate) => !this.#current.has(candidate)) ?? first;
    const previous = this.#current.get(processor);
    if (previous !== undefined) {
      previous.detach();
      previous.state = 'ready';
      this.#ready.unshift(previous);
    }
    const index = this.#ready.indexOf(thread);
    if (index >= 0) this.#ready.splice(index, 1);
    this.#assign(processor, thread);
    return processor;
  }

  #assign(processor: Processor, thread: Thread): void {
    this.#current.set(processor, thread);
    thread.attach(processor);
  }

  #threadFor(processor: Processor): Thread | undefined {
    const current = this.#current.get(processor);
    if (current !== undefined) return current;
    const next = this.#ready.shift();
    if (next !== undefined) this.#assign(processor, next);
    return next;
  }

  /** Round robin over the processors that have a thread or could get one. */
  #nextProcessor(): Processor | undefined {
    const { processors } = this.machine;
    for (let i = 0; i < processors.length; i++) {
      const processor = processors[(this.#turn + i) % processors.length];
      if (processor === undefined || !(this.#current.has(processor) || this.#ready.length > 0)) continue;
      this.#turn = (processor.index + 1) % processors.length;
      return processor;
    }
    return undefined;
  }

  #holds({ thread, address }: ThreadCondition, passed: ReadonlySet<Thread>): boolean {
    if (address === undefined) return thread.finished;
    return !thread.finished && !passed.has(thread) && thread.pc === address;
  }

  /** Threads that stand on their breakpoint as the run begins must leave it before it counts. */
  #standingOnCondition(conditions: readonly ThreadCondition[]): Set<Thread> {
    return new Set(
      conditions.flatMap(({ thread, address }) =>
        address !== undefined && thread.pc === address ? [thread] : [],
      ),
    );
  }
}
