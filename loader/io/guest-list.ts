import type { StructureMemory } from './structure.js';

/** A LIST_ENTRY of wdm.h and the list that it heads. */
export class ListHead {
  constructor(
    private readonly memory: StructureMemory,
    readonly address: bigint,
    private readonly pointerSize: 4 | 8,
  ) {}

  initialize(): void {
    this.#set(this.address, this.address, this.address);
  }

  insertTail(entry: bigint): void {
    const last = this.#pointer(this.address + BigInt(this.pointerSize));
    this.#set(entry, this.address, last);
    this.#write(last, entry);
    this.#write(this.address + BigInt(this.pointerSize), entry);
  }

  /** RemoveEntryList: the entry then heads an empty list of its own. */
  remove(entry: bigint): void {
    const [next, previous] = [this.#pointer(entry), this.#pointer(entry + BigInt(this.pointerSize))];
    this.#write(previous, next);
    this.#write(next + BigInt(this.pointerSize), previous);
    this.#set(entry, entry, entry);
  }

  /** @param most entries, in case that the guest has made a ring of it */
  entries(most = 0x1000): bigint[] {
    const found: bigint[] = [];
    for (
      let at = this.#pointer(this.address);
      at !== this.address && found.length < most;
      at = this.#pointer(at)
    )
      found.push(at);
    return found;
  }

  #pointer(at: bigint): bigint {
    return this.pointerSize === 8 ? this.memory.readU64(at) : BigInt(this.memory.readU32(at));
  }

  #write(at: bigint, value: bigint): void {
    if (this.pointerSize === 8) this.memory.writeU64(at, value);
    else this.memory.writeU32(at, Number(value));
  }

  #set(at: bigint, next: bigint, previous: bigint): void {
    this.#write(at, next);
    this.#write(at + BigInt(this.pointerSize), previous);
  }
}
