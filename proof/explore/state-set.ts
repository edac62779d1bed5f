/** An exploration has reached a bound that it was given: not every reachable state was visited. */
export class BoundReached extends Error {
  override readonly name = 'BoundReached';
}

/**
 * Set of 64-bit keys, each given as two unsigned 32-bit words, in order of insertion, with the index of the state that
 * each was first reached from. Open addressing over typed arrays: about 24 bytes for a state.
 */
export class StateSet {
  #slots: Int32Array;
  #mask: number;
  #low: Uint32Array;
  #high: Uint32Array;
  #parent: Int32Array;
  #size = 0;

  /** @param most so many states are held; one more is refused */
  constructor(
    private readonly most = Number.POSITIVE_INFINITY,
    capacity = 1 << 12,
  ) {
    this.#slots = new Int32Array(capacity * 2).fill(-1);
    this.#mask = capacity * 2 - 1;
    this.#low = new Uint32Array(capacity);
    this.#high = new Uint32Array(capacity);
    this.#parent = new Int32Array(capacity);
  }

  get size(): number {
    return this.#size;
  }

  low(index: number): number {
    return this.#low[index] ?? 0;
  }

  high(index: number): number {
    return this.#high[index] ?? 0;
  }

  /** Index of the state that this one was first reached from; -1 for the first. */
  parent(index: number): number {
    return this.#parent[index] ?? -1;
  }

  /** Adds the key if it is new. @throws BoundReached when there are as many as there may be */
  add(low: number, high: number, parent: number): void {
    let at = hash(low, high) & this.#mask;
    for (;;) {
      const index = this.#slots[at] ?? -1;
      if (index < 0) break;
      if (this.#low[index] === low && this.#high[index] === high) return;
      at = (at + 1) & this.#mask;
    }
    if (this.#size >= this.most) throw new BoundReached(`${this.most} states`);
    if (this.#size === this.#low.length) {
      this.#grow();
      at = this.#free(low, high);
    }
    this.#slots[at] = this.#size;
    this.#low[this.#size] = low;
    this.#high[this.#size] = high;
    this.#parent[this.#size] = parent;
    this.#size += 1;
  }

  #free(low: number, high: number): number {
    let at = hash(low, high) & this.#mask;
    while ((this.#slots[at] ?? -1) >= 0) at = (at + 1) & this.#mask;
    return at;
  }

  #grow(): void {
    const capacity = this.#low.length * 2;
    this.#low = extended(this.#low, new Uint32Array(capacity));
    this.#high = extended(this.#high, new Uint32Array(capacity));
    this.#parent = extended(this.#parent, new Int32Array(capacity));
    this.#slots = new Int32Array(capacity * 2).fill(-1);
    this.#mask = capacity * 2 - 1;
    for (let index = 0; index < this.#size; index++) {
      this.#slots[this.#free(this.low(index), this.high(index))] = index;
    }
  }
}

function extended<T extends Uint32Array | Int32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

/** Finalizer of MurmurHash3 (public domain) over both words. */
function hash(low: number, high: number): number {
  let mixed = Math.imul(low ^ Math.imul(high, 0x9e3779b1), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
