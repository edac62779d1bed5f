import { IRQL } from '../common/index.js';
import type { ImageDomain } from '../images/index.js';
import type { Thread } from './thread.js';
import type { ThreadOptions } from './thread-runner.js';

/** A deferred procedure call that waits in a processor's queue. */
export interface QueuedDpc {
  /** Address of the KDPC, or of what stands for it. */
  readonly object: bigint;
  readonly routine: bigint;
  /** (Dpc, DeferredContext, SystemArgument1, SystemArgument2) */
  readonly parameters: readonly [bigint, bigint, bigint, bigint];
  readonly domain: ImageDomain;
  /** It has left the queue and is about to run: from now on it can be queued again. */
  readonly onStart?: () => void;
}

/** A timer that is set. */
export interface SetTimer {
  readonly object: bigint;
  /** Ticks of the kernel's clock. */
  readonly due: bigint;
  /** Ticks; 0: once. */
  readonly period: bigint;
  readonly onExpiry: () => void;
}

type CreateThread = (
  address: bigint,
  parameters: readonly bigint[],
  options: ThreadOptions,
) => { readonly thread: Thread; destroy(): void };

/**
 * The DPC queue of each processor, and the timers. A DPC runs at DISPATCH_LEVEL on its processor, before any thread there
 * that is below that level, and to its end; here it has a stack of its own, as on Windows, and is listed as a thread.
 */
export class DpcQueues {
  readonly #queues = new Map<number, QueuedDpc[]>();
  readonly #timers = new Map<bigint, SetTimer>();
  readonly #running = new Map<Thread, () => void>();

  constructor(private readonly createThread: CreateThread) {}

  /** @param atFront of HighImportance */
  insert(processor: number, dpc: QueuedDpc, atFront = false): void {
    const queue = this.#queues.get(processor) ?? [];
    this.#queues.set(processor, queue);
    if (atFront) queue.unshift(dpc);
    else queue.push(dpc);
  }

  /** KeRemoveQueueDpc; false when it is in no queue. */
  remove(object: bigint): boolean {
    for (const queue of this.#queues.values()) {
      const index = queue.findIndex((dpc) => dpc.object === object);
      if (index < 0) continue;
      queue.splice(index, 1);
      return true;
    }
    return false;
  }

  isQueued(object: bigint): boolean {
    return [...this.#queues.values()].some((queue) => queue.some((dpc) => dpc.object === object));
  }

  isPending(processor: number): boolean {
    return (this.#queues.get(processor)?.length ?? 0) > 0;
  }

  /** Is any DPC queued or running? */
  get isBusy(): boolean {
    this.#reap();
    return this.#running.size > 0 || [...this.#queues.values()].some((queue) => queue.length > 0);
  }

  isRunning(thread: Thread): boolean {
    return this.#running.has(thread);
  }

  /** DPCs that have begun and not ended. */
  get active(): readonly Thread[] {
    return [...this.#running.keys()].filter((thread) => !thread.finished);
  }

  /** The next DPC of a processor, ready to run there. */
  start(processor: number): Thread | undefined {
    this.#reap();
    const dpc = this.#queues.get(processor)?.shift();
    if (dpc === undefined) return undefined;
    dpc.onStart?.();
    const { thread, destroy } = this.createThread(dpc.routine, dpc.parameters, {
      domain: dpc.domain,
      affinity: processor,
      irql: IRQL.DISPATCH_LEVEL,
      name: 'DPC',
    });
    this.#running.set(thread, destroy);
    return thread;
  }

  /** Sets a timer; true when it was set already. */
  setTimer(timer: SetTimer): boolean {
    const wasSet = this.#timers.has(timer.object);
    this.#timers.set(timer.object, timer);
    return wasSet;
  }

  /** True when it was set. */
  cancelTimer(object: bigint): boolean {
    return this.#timers.delete(object);
  }

  /** When the next timer expires. */
  get nextDue(): bigint | undefined {
    return [...this.#timers.values()].reduce<bigint | undefined>(
      (next, { due }) => (next === undefined || due < next ? due : next),
      undefined,
    );
  }

  get hasSingle(): boolean {
    return [...this.#timers.values()].some(({ period }) => period === 0n);
  }

  /** Lets every timer expire whose time has come, the earliest first. */
  expire(now: bigint): void {
    const expired = [...this.#timers.values()]
      .filter(({ due }) => due <= now)
      .sort((a, b) => (a.due < b.due ? -1 : 1));
    for (const timer of expired) {
      if (timer.period === 0n) this.#timers.delete(timer.object);
      else this.#timers.set(timer.object, { ...timer, due: now + timer.period });
      timer.onExpiry();
    }
  }

  #reap(): void {
    for (const [thread, destroy] of this.#running) {
      if (!thread.finished) continue;
      this.#running.delete(thread);
      destroy();
    }
  }
}
