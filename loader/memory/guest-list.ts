import { type PointerMemory, readPointer, writePointer } from './pointer.js';

/** Doubly linked lists in guest memory: LIST_ENTRY { Flink, Blink } (winnt.h, wdm.h). */
export class GuestList {
  constructor(
    private readonly memory: PointerMemory,
    private readonly pointerSize: 4 | 8,
  ) {}

  /** InitializeListHead: an empty list leads to itself. */
  initialize(head: bigint): void {
    this.#set(head, head);
    this.#set(head + this.#back, head);
  }

  /** InsertTailList. */
  append(head: bigint, links: bigint): void {
    const last = this.#get(head + this.#back);
    this.#set(links, head);
    this.#set(links + this.#back, last);
    this.#set(last, links);
    this.#set(head + this.#back, links);
  }

  /** RemoveEntryList. An entry that is in no list stays as it is. */
  remove(links: bigint): void {
    const next = this.#get(links);
    const previous = this.#get(links + this.#back);
    if (next === 0n || previous === 0n) return;
    this.#set(previous, next);
    this.#set(next + this.#back, previous);
  }

  /** @param most entries, in case that the guest has made a ring of it */
  entries(head: bigint, most = 0x1000): bigint[] {
    const found: bigint[] = [];
    for (let at = this.#get(head); at !== head && found.length < most; at = this.#get(at)) found.push(at);
    return found;
  }

  get #back(): bigint {
    return BigInt(this.pointerSize);
  }

  #get(address: bigint): bigint {
    return readPointer(this.memory, address, this.pointerSize);
  }

  #set(address: bigint, value: bigint): void {
    writePointer(this.memory, address, value, this.pointerSize);
  }
}
