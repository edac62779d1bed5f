import { type AddressSpace, PAGE_SIZE, type PageTable } from '../../cpu/index.js';
import { assertAddress, KernelError } from '../common/index.js';

const SLOT_SIZE = 8;
const SLOTS_PER_PAGE = PAGE_SIZE / SLOT_SIZE;
/** One code page and the data page behind it. */
export const HPAT_PAIR_SIZE = 2 * PAGE_SIZE;

/**
 * `pairs`: code and data pages in turn (22631 and newer). `pointers`: the plain array of pointers,
 * data only (up to about 19041; docs/fidelity.md#hpat-and-trampolines).
 */
export type HpatLayout = 'pairs' | 'pointers';

/**
 * The Hotpatch Address Table of one image: address space behind the page-rounded image, reserved at load without
 * memory (docs/fidelity.md#the-system-around-it). Pages alternate, even ones code (execute-read), odd ones data (read-only), in slots of 8 bytes:
 * slot n has its code at `base + (n >> 9) * 0x2000 + (n & 0x1ff) * 8` and its data 0x1000 behind that
 * (docs/fidelity.md#hpat-and-trampolines). In the layout `pointers` slot n is the pointer at `base + n * 8`.
 */
export class HotPatchAddressTable {
  #committed = false;

  constructor(
    /** First byte: ImageBase + page-rounded SizeOfImage. */
    readonly base: bigint,
    /** Bytes; a multiple of 0x2000. */
    readonly reserveSize: number,
    private readonly space: AddressSpace,
    private readonly table: PageTable,
    /** Pairs of code and data pages, or pages of pointers. */
    readonly layout: HpatLayout = 'pairs',
  ) {
    table.reserve(base, reserveSize / PAGE_SIZE);
  }

  /** How many functions fit: 512 for each pair of pages, or for each page of pointers. */
  get capacity(): number {
    return (this.reserveSize / (this.layout === 'pairs' ? HPAT_PAIR_SIZE : PAGE_SIZE)) * SLOTS_PER_PAGE;
  }

  /** Does it have memory, or is it reserved only? */
  get committed(): boolean {
    return this.#committed;
  }

  /** Is the address in it? */
  contains(address: bigint): boolean {
    if (typeof address !== 'bigint') assertAddress(address);
    return address >= this.base && address < this.base + BigInt(this.reserveSize);
  }

  /** Address of the slot's code; undefined in the layout `pointers`, which has none. */
  codeSlot(index: number): bigint | undefined {
    return this.layout === 'pairs' ? this.#firstByte(index) : undefined;
  }

  /** Address of the slot's pointer. */
  dataSlot(index: number): bigint {
    return this.#firstByte(index) + (this.layout === 'pairs' ? BigInt(PAGE_SIZE) : 0n);
  }

  /**
   * The slot that an entry leads to when it jumps to `address` (code layout) or through it (pointers); undefined for
   * data pages of pairs, for addresses inside a slot and for everything outside.
   */
  indexOf(address: bigint): number | undefined {
    if (!this.contains(address)) return undefined;
    const offset = Number(address - this.base);
    if (offset % SLOT_SIZE !== 0) return undefined;
    if (this.layout === 'pointers') return offset / SLOT_SIZE;
    const inPair = offset % HPAT_PAIR_SIZE;
    if (inPair >= PAGE_SIZE) return undefined;
    return Math.floor(offset / HPAT_PAIR_SIZE) * SLOTS_PER_PAGE + inPair / SLOT_SIZE;
  }

  /**
   * Gives the pages memory, at the first patch: code pages execute-read, filled with `codeFill` (CC on x86
   * processors), data pages read-only.
   * @internal
   */
  commit(codeFill: number): void {
    if (this.#committed) return;
    try {
      this.#commitPages(codeFill);
    } catch (error) {
      this.table.decommit(this.base, this.reserveSize / PAGE_SIZE);
      throw error;
    }
    this.#committed = true;
  }

  #commitPages(codeFill: number): void {
    for (let offset = 0; offset < this.reserveSize; offset += PAGE_SIZE) {
      const page = this.base + BigInt(offset);
      if (this.layout === 'pointers' || offset % HPAT_PAIR_SIZE !== 0) {
        this.table.commit(page, 1, 'PAGE_READONLY');
        continue;
      }
      this.table.commit(page, 1, 'PAGE_READWRITE');
      this.space.write(page, new Uint8Array(PAGE_SIZE).fill(codeFill));
      this.table.protect(page, 1, 'PAGE_EXECUTE_READ');
    }
  }

  /**
   * Back to address space without memory: for a patch that failed before anything was published.
   * @internal
   */
  decommit(): void {
    this.table.decommit(this.base, this.reserveSize / PAGE_SIZE);
    this.#committed = false;
  }

  #firstByte(index: number): bigint {
    if (!Number.isInteger(index) || index < 0 || index >= this.capacity)
      throw new KernelError({
        rule: 'hpatSlot',
        status: 'STATUS_INVALID_PARAMETER',
        place: `HPAT[${index}]`,
        message: `HPAT slot ${index} is not one of the ${this.capacity} there are`,
      });
    if (this.layout === 'pointers') return this.base + BigInt(index * SLOT_SIZE);
    return (
      this.base +
      BigInt(Math.floor(index / SLOTS_PER_PAGE) * HPAT_PAIR_SIZE + (index % SLOTS_PER_PAGE) * SLOT_SIZE)
    );
  }
}

/**
 * Bytes reserved behind each image for a `HotPatchTableSize` of the registry. Every code page has a data page, so the
 * reserve is twice the page-rounded size: 0x1000 gives 0x2000 (512 functions). Modelled: docs/fidelity.md#u-5.
 */
export function hotPatchReserveSize(hotPatchTableSize: number): number {
  if (!Number.isInteger(hotPatchTableSize) || hotPatchTableSize < 0 || hotPatchTableSize > 0x1000_0000)
    throw new KernelError({
      rule: 'boot.option',
      status: 'STATUS_INVALID_PARAMETER',
      place: 'hotPatchTableSize',
      message: `HotPatchTableSize ${hotPatchTableSize} is not a size between 0 and 0x10000000`,
    });
  return 2 * Math.ceil(hotPatchTableSize / PAGE_SIZE) * PAGE_SIZE;
}
