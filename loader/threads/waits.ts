import type { Processor } from '../../cpu/index.js';
import { STATUS_TIMEOUT } from '../common/index.js';
import type { Thread } from './thread.js';
import { changeThread, wakeThread } from './thread-control.js';

/** Timers that expire when their time has come. */
export interface Timers {
  /** When the next one does. */
  readonly nextDue: bigint | undefined;
  expire(now: bigint): void;
  /** Whether one is set that expires once only. */
  readonly hasSingle: boolean;
}

/** The kernel's clock, which ticks once for each instruction that any processor executes, and the threads that wait. */
export class Waits {
  readonly #waiting = new Set<Thread>();
  #time = 0n;
  #spins = 0;

  constructor(
    private readonly timers: Timers,
    /** A thread has nothing to wait for any more. */
    private readonly ready: (thread: Thread) => void,
    /** Time has passed in which no processor executed anything. */
    private readonly passed: (ticks: bigint) => void,
  ) {}

  get all(): readonly Thread[] {
    return [...this.#waiting];
  }

  /** Ticks since boot, those slept through too. */
  get time(): bigint {
    return this.#time;
  }

  /** Turns of spinning threads since the last instruction. */
  get spins(): number {
    return this.#spins;
  }

  add(thread: Thread): void {
    this.#waiting.add(thread);
  }

  remove(thread: Thread): void {
    this.#waiting.delete(thread);
  }

  executed(instructions: number): void {
    if (instructions > 0) this.#spins = 0;
    this.#time += BigInt(instructions);
  }

  expireTimers(): void {
    this.timers.expire(this.#time);
  }

  /** Instructions until the next timer expires, at most `limit`. */
  untilTimer(limit: number): number {
    const due = this.timers.nextDue;
    if (due === undefined) return limit;
    return Math.min(limit, Math.max(1, Number(due - this.#time)));
  }

  /** Ends the waits that have come true. */
  wake(): void {
    this.expireTimers();
    for (const thread of this.#waiting) {
      const { wait } = thread;
      if (wait === undefined) continue;
      const ready = wait.ready();
      if (thread.finished) {
        // What it waits for has become unreadable: it ended by that.
        this.#waiting.delete(thread);
        changeThread(thread, { wait: undefined });
        continue;
      }
      const result =
        ready ??
        (wait.deadline !== undefined && wait.deadline <= this.#time
          ? (wait.timeoutResult ?? STATUS_TIMEOUT)
          : undefined);
      if (result === undefined) continue;
      this.#waiting.delete(thread);
      wakeThread(thread, result);
      this.ready(thread);
    }
  }

  /** A thread that spins asks once more; false: it has to go on, or has ended. */
  endSpin(thread: Thread, processor: Processor): boolean {
    const result = thread.wait?.ready();
    this.#pass(1n);
    if (thread.finished) return false;
    if (result === undefined) {
      this.#spins += 1;
      return false;
    }
    changeThread(thread, { wait: undefined });
    thread.architecture.setResult(processor, result);
    return true;
  }

  /** Whether a wait or a timer ends by itself, so that sleeping on leads somewhere: periodic timers alone never do. */
  get comesToAnEnd(): boolean {
    return this.timers.hasSingle || this.all.some(({ wait }) => wait?.deadline !== undefined);
  }

  #pass(ticks: bigint): void {
    this.#time += ticks;
    this.passed(ticks);
  }

  /** Nothing can run: time passes until the first wait ends. False when none ever does by itself. */
  sleep(): boolean {
    let next: bigint | undefined;
    for (const { wait } of this.#waiting) {
      const deadline = wait?.deadline;
      if (deadline !== undefined && (next === undefined || deadline < next)) next = deadline;
    }
    const timer = this.timers.nextDue;
    if (timer !== undefined && (next === undefined || timer < next)) next = timer;
    if (next === undefined) return false;
    this.#spins = 0;
    if (next > this.#time) this.#pass(next - this.#time);
    this.wake();
    return true;
  }
}
