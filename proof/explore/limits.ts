import { BoundReached } from './state-set.js';

export interface LimitOptions {
  /** Stop after so many seconds. */
  readonly mostSeconds?: number;
  /** Stop when the process, with all its threads, has so many bytes of memory. */
  readonly mostMemory?: number;
  /** Stop when this says so; asked often. */
  readonly isInterrupted?: () => boolean;
}

const MEMORY_EVERY = 16;
const MEGABYTE = 1024 * 1024;

/** What may end a search before it is complete. */
export class Limits {
  readonly #start = performance.now();
  #checks = 0;

  constructor(private readonly options: LimitOptions) {}

  /** Since the search began. */
  get seconds(): number {
    return (performance.now() - this.#start) / 1000;
  }

  /** @throws BoundReached */
  check(): void {
    const { mostSeconds = Number.POSITIVE_INFINITY, mostMemory, isInterrupted } = this.options;
    if (isInterrupted?.() === true) throw new BoundReached('an interruption');
    if (this.seconds > mostSeconds) throw new BoundReached(`${mostSeconds} seconds`);
    if (mostMemory === undefined || this.#checks++ % MEMORY_EVERY !== 0) return;
    if (process.memoryUsage.rss() > mostMemory)
      throw new BoundReached(`${Math.round(mostMemory / MEGABYTE)} MB of memory`);
  }
}
