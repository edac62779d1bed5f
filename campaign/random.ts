import { randomNumbers } from '../cpu/index.js';

/** The same numbers for the same seed, on every machine. */
export class Random {
  readonly #next: () => number;

  /** @param seed any number; what differs by one gives unrelated numbers */
  constructor(seed: number) {
    this.#next = randomNumbers(Math.imul(seed >>> 0, 0x9e37_79b1) ^ Math.floor(seed / 2 ** 32));
  }

  /** 32 bits. */
  next(): number {
    return this.#next();
  }

  /** From 0 up to, without, `limit`; 0 where that is 0. */
  below(limit: number): number {
    return limit === 0 ? 0 : this.#next() % limit;
  }

  /** Both ends included. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /** True once in `count` times. */
  once(count: number): boolean {
    return this.below(count) === 0;
  }

  pick<T>(values: readonly [T, ...T[]]): T {
    return values[this.below(values.length)] ?? values[0];
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.#next() & 0xff);
  }
}
