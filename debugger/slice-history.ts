import type { Thread } from '../loader/index.js';
import type { Position } from './position.js';

/** One slice of a thread on a processor. */
export interface SliceRecord {
  readonly sequence: number;
  readonly thread: Thread;
  readonly processor: number;
  /** Instructions of it that have been executed. */
  steps: number;
}

/** Every slice of a run so far, in order. */
export class SliceHistory {
  readonly #slices: SliceRecord[] = [];

  begin(thread: Thread, processor: number): SliceRecord {
    const slice = { sequence: this.#slices.length + 1, thread, processor, steps: 0 };
    this.#slices.push(slice);
    return slice;
  }

  get all(): readonly SliceRecord[] {
    return this.#slices;
  }

  get last(): SliceRecord | undefined {
    return this.#slices.at(-1);
  }

  /** Where the instruction before this moment was about to be executed: of one thread, or of any. */
  before({ sequence, steps }: Position, thread?: Thread): Position | undefined {
    for (let index = Math.min(sequence, this.#slices.length) - 1; index >= 0; index--) {
      const slice = this.#slices[index];
      if (slice === undefined || (thread !== undefined && slice.thread !== thread)) continue;
      const done = slice.sequence === sequence ? steps : slice.steps;
      if (done > 0) return { sequence: slice.sequence, steps: done - 1 };
    }
    return undefined;
  }
}
