import type { Exit } from '../../cpu/index.js';
import type { SeededRandom } from '../common/index.js';

/** In instructions. */
export const LONGEST_SLICE = 200;
const SHORTEST_RUN = 2000;
const LONGEST_RUN = 1_000_000;

export const sliceLength = (random: SeededRandom): number => random.between(1, LONGEST_SLICE);

/** How many slices a run took that was to be several. */
export interface SlicesTaken {
  readonly slices: number;
  /** Instructions that they count for: one that ends before its first instruction counts for 1. */
  readonly charged: number;
}

/**
 * Slices of a thread that nothing can come between, joined to one run of the processor: only the first instruction of a
 * slice that ends early for another reason is a place where anybody could notice. Takes as many lengths from `random` as
 * single slices would have taken.
 */
export class SlicesAhead {
  readonly #random: SeededRandom;
  #length = SHORTEST_RUN;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  /** The length of the next slices together, and what must be told how they ended before `random` is used again. */
  take(limit: number): { readonly instructions: number; settle(exit: Exit): SlicesTaken } {
    const random = this.#random;
    const takeBack = random.mark();
    const wanted = Math.min(limit, this.#length);
    let instructions = 0;
    while (instructions < wanted) instructions = Math.min(limit, instructions + sliceLength(random));
    return {
      instructions,
      settle: (exit) => {
        takeBack();
        const isWhole = exit.reason === 'instructionLimit';
        this.#length = isWhole ? Math.min(this.#length * 2, LONGEST_RUN) : SHORTEST_RUN;
        return this.#settle(exit, limit);
      },
    };
  }

  #settle({ instructions, reason }: Exit, limit: number): SlicesTaken {
    const isAtEnd = reason === 'instructionLimit' || reason === 'breakpoint';
    let slices = 0;
    let end = 0;
    let begin = 0;
    while (slices === 0 || (isAtEnd ? end < instructions : end <= instructions)) {
      begin = end;
      end = Math.min(limit, end + sliceLength(this.#random));
      slices += 1;
      if (end === limit) break;
    }
    return { slices, charged: instructions + (begin === instructions ? 1 : 0) };
  }
}
