import { BoundReached } from '../explore/state-set.js';

/**
 * Set of tuples of unsigned 32-bit numbers, in order of insertion, with the index of the tuple that each was first reached
 * from. Open addressing over typed arrays: 4 bytes for each number, and 12 to 16 more.
 */
export class TupleSet {
  #slots = new Int32Array(1 << 13).fill(-1);
  #words: Uint32Array;
  #parent = new Int32Array(1 << 12);
  #size = 0;

  /** @param most so many tuples are held; one more is refused */
  constructor(
    readonly width: number,
    private readonly most = Number.POSITIVE_INFINITY,
  ) {
    this.#words = new Uint32Array((1 << 12) * width);
  }

  get size(): number {
    return this.#size;
  }

  /** The first `size` of its tuples, with where each was reached from. */
  save(size = this.#size): SavedTuples {
    return { words: this.#words.slice(0, size * this.width), parents: this.#parent.slice(0, size) };
  }

  /** Adds saved tuples to an empty set. */
  restore({ words, parents }: SavedTuples): void {
    for (const [index, parent] of parents.entries())
      this.add([...words.subarray(index * this.width, (index + 1) * this.width)], parent);
  }

  /** Bytes that it takes. */
  get bytes(): number {
    return this.#slots.byteLength + this.#words.byteLength + this.#parent.byteLength;
  }

  word(index: number, position: number): number {
    return this.#words[index * this.width + position] ?? 0;
  }

  /** Index of the tuple that this one was first reached from; -1 for the first. */
  parent(index: number): number {
    return this.#parent[index] ?? -1;
  }

  /** Adds the tuple if it is new. @throws BoundReached when there are as many as there may be */
  add(tuple: readonly number[], parent: number): void {
    const mask = this.#slots.length - 1;
    let at = hash(tuple) & mask;
    for (;;) {
      const index = this.#slots[at] ?? -1;
      if (index < 0) break;
      if (this.#equals(index, tuple)) return;
      at = (at + 1) & mask;
    }
    if (this.#size >= this.most) throw new BoundReached(`${this.most} states`);
    this.#slots[at] = this.#size;
    if (this.#size === this.#parent.length) this.#growArrays();
    this.#words.set(tuple, this.#size * this.width);
    this.#parent[this.#size] = parent;
    this.#size += 1;
    if (this.#size * 2 > this.#slots.length) this.#rehash();
  }

  #equals(index: number, tuple: readonly number[]): boolean {
    for (let position = 0; position < this.width; position++)
      if (this.#words[index * this.width + position] !== tuple[position]) return false;
    return true;
  }

  #growArrays(): void {
    const words = new Uint32Array(this.#words.length * 2);
    words.set(this.#words);
    this.#words = words;
    const parent = new Int32Array(this.#parent.length * 2);
    parent.set(this.#parent);
    this.#parent = parent;
  }

  #rehash(): void {
    const slots = new Int32Array(this.#slots.length * 2).fill(-1);
    const mask = slots.length - 1;
    for (let index = 0; index < this.#size; index++) {
      const tuple = this.#words.subarray(index * this.width, (index + 1) * this.width);
      let at = hash(tuple) & mask;
      while ((slots[at] ?? -1) >= 0) at = (at + 1) & mask;
      slots[at] = index;
    }
    this.#slots = slots;
  }
}

export interface SavedTuples {
  readonly words: Uint32Array;
  readonly parents: Int32Array;
}

/** FNV-1a (public domain) over the numbers, with the finalizer of MurmurHash3 (public domain). */
function hash(tuple: ArrayLike<number>): number {
  let mixed = 0x811c9dc5;
  for (let index = 0; index < tuple.length; index++)
    mixed = Math.imul(mixed ^ (tuple[index] ?? 0), 0x01000193);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
