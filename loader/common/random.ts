/** A small seeded generator (xorshift32): the only source of randomness in a machine, so that runs repeat exactly. */
export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed ^ 0x9e3779b9) >>> 0 || 1;
  }

  /** What takes back the numbers that are given from now on. */
  mark(): () => void {
    const state = this.#state;
    return () => {
      this.#state = state;
    };
  }

  /** A whole number from `minimum` to `maximum`, both included. */
  between(minimum: number, maximum: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return minimum + (this.#state % (maximum - minimum + 1));
  }
}
