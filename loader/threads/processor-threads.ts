import type { Processor } from '../../cpu/index.js';
import { IRQL } from '../common/index.js';
import { attachThread } from './attach-thread.js';
import type { Thread } from './thread.js';
import { changeThread, detachThread } from './thread-control.js';

/** Slices after which a thread gives its processor to one that waits for it. */
const QUANTUM = 16;

/** Which thread each processor has, and the threads that are ready to get one. */
export class ProcessorThreads {
  readonly #ready: Thread[] = [];
  readonly #current = new Map<Processor, Thread>();
  readonly #slices = new Map<Processor, number>();
  #turn = 0;

  constructor(private readonly processors: readonly Processor[]) {}

  /** A thread is ready: it gets a processor behind all others. */
  add(thread: Thread): void {
    this.#ready.push(thread);
  }

  /** Those that have a processor, then those that are ready for one. */
  get all(): Thread[] {
    return [...this.#current.values(), ...this.#ready];
  }

  /** Those that have a processor. */
  get running(): Thread[] {
    return [...this.#current.values()];
  }

  on(processor: Processor): Thread | undefined {
    return this.#current.get(processor);
  }

  /** Puts a ready thread on the first free processor that it may use, or takes one from the thread that has it. */
  place(thread: Thread): Processor {
    if (thread.processor !== undefined) return thread.processor;
    const allowed = this.processors.filter((processor) => mayRun(thread, processor));
    const [first] = allowed;
    if (first === undefined) throw new RangeError(`thread ${thread.id} may run on no processor`);
    const isBelow = (candidate: Processor) => (this.on(candidate)?.irql ?? 0) < IRQL.DISPATCH_LEVEL;
    const processor =
      allowed.find((candidate) => !this.#current.has(candidate)) ?? allowed.find(isBelow) ?? first;
    this.give(processor, thread);
    return processor;
  }

  /** Gives a processor to a ready thread; the one that it had is ready again, before all others. */
  give(processor: Processor, thread: Thread): void {
    this.#preempt(processor, 'front');
    this.#takeReady(thread);
    this.#assign(processor, thread);
  }

  /** Takes a thread off its processor. */
  leave(thread: Thread): void {
    const { processor } = thread;
    detachThread(thread);
    if (processor !== undefined && this.on(processor) === thread) this.#current.delete(processor);
  }

  /** Takes a thread off its processor and off the list. */
  remove(thread: Thread): void {
    this.leave(thread);
    this.#takeReady(thread);
  }

  /** The thread that runs the next slice of this processor: another one when the present one has used up its quantum. */
  next(processor: Processor): Thread | undefined {
    const current = this.on(processor);
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

  /** Notes slices that {@link next} has not been asked for. */
  ran(processor: Processor, slices: number): void {
    this.#slices.set(processor, (this.#slices.get(processor) ?? 0) + slices);
  }

  /** Round robin over the processors that have a thread or could get one, or have other work. */
  nextProcessor(hasOtherWork: (processor: Processor) => boolean): Processor | undefined {
    const { processors } = this;
    for (let i = 0; i < processors.length; i++) {
      const processor = processors[(this.#turn + i) % processors.length];
      if (processor === undefined) continue;
      if (!this.#hasThread(processor) && !hasOtherWork(processor)) continue;
      this.#turn = (processor.index + 1) % processors.length;
      return processor;
    }
    return undefined;
  }

  #hasThread(processor: Processor): boolean {
    return this.#current.has(processor) || this.#ready.some((thread) => mayRun(thread, processor));
  }

  #takeReady(thread: Thread): void {
    const index = this.#ready.indexOf(thread);
    if (index >= 0) this.#ready.splice(index, 1);
  }

  #assign(processor: Processor, thread: Thread): void {
    // It may fail, when there is no memory for the stack: the processor has no thread then.
    attachThread(thread, processor);
    this.#current.set(processor, thread);
    this.#slices.set(processor, 0);
  }

  #preempt(processor: Processor, queue: 'front' | 'back'): void {
    const previous = this.on(processor);
    if (previous === undefined) return;
    this.#current.delete(processor);
    detachThread(previous);
    changeThread(previous, { state: 'ready' });
    if (queue === 'front') this.#ready.unshift(previous);
    else this.#ready.push(previous);
  }
}

function mayRun(thread: Thread, processor: Processor): boolean {
  return thread.affinity === undefined || thread.affinity === processor.index;
}
