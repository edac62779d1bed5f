import { PAGE_SIZE } from '../../cpu/index.js';

const SHIFT = 12n;
const MASK = 0xfffn;

/** Flags of single bytes of one address space, by page. */
export class ByteMap {
  readonly #pages = new Map<number, Uint8Array>();

  /** By page. */
  save(): ReadonlyMap<number, Uint8Array> {
    return this.#pages;
  }

  /** Takes over what was saved. */
  restore(pages: ReadonlyMap<number, Uint8Array>): void {
    for (const [page, bytes] of pages) this.#pages.set(page, bytes.slice());
  }

  /** @returns whether a byte has got a flag that it did not have */
  add(address: bigint, size: number, flags: number): boolean {
    let isNew = false;
    for (let done = 0; done < size; ) {
      const at = address + BigInt(done);
      const page = Number(at >> SHIFT);
      let bytes = this.#pages.get(page);
      if (bytes === undefined) {
        bytes = new Uint8Array(PAGE_SIZE);
        this.#pages.set(page, bytes);
      }
      const first = Number(at & MASK);
      const count = Math.min(size - done, PAGE_SIZE - first);
      for (let offset = first; offset < first + count; offset++) {
        const before = bytes[offset] ?? 0;
        if ((before & flags) === flags) continue;
        bytes[offset] = before | flags;
        isNew = true;
      }
      done += count;
    }
    return isNew;
  }

  /** Flags that any of the bytes has. */
  any(address: bigint, size: number): number {
    let found = 0;
    for (let done = 0; done < size; ) {
      const at = address + BigInt(done);
      const first = Number(at & MASK);
      const count = Math.min(size - done, PAGE_SIZE - first);
      const bytes = this.#pages.get(Number(at >> SHIFT));
      if (bytes !== undefined)
        for (let offset = first; offset < first + count; offset++) found |= bytes[offset] ?? 0;
      done += count;
    }
    return found;
  }

  flags(address: bigint): number {
    return this.#pages.get(Number(address >> SHIFT))?.[Number(address & MASK)] ?? 0;
  }

  get isEmpty(): boolean {
    return this.#pages.size === 0;
  }

  /** Each byte that has flags. */
  *[Symbol.iterator](): Iterator<readonly [address: bigint, flags: number]> {
    for (const [page, bytes] of this.#pages)
      for (const [offset, flags] of bytes.entries())
        if (flags !== 0) yield [(BigInt(page) << SHIFT) + BigInt(offset), flags];
  }
}
