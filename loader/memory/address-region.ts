import { type AddressSpace, PAGE_SIZE, type PageTable } from '../../cpu/index.js';
import { hex, KernelError } from '../common/index.js';

/** Views begin at multiples of this, as MEM_IMAGE and MEM_PRIVATE ones do. */
export const ALLOCATION_GRANULARITY = 0x10000n;

/**
 * Hands out address space of one region, upwards; nothing twice as long as there is some that is new, so that a stale
 * pointer faults.
 */
export class AddressRegion {
  #next: bigint;
  /** Given back, the longest ago first. */
  readonly #free: { readonly start: bigint; readonly end: bigint }[] = [];

  constructor(
    readonly name: string,
    readonly start: bigint,
    readonly end: bigint,
    /** Called before address space is handed out; what it throws refuses it. */
    private readonly before: (region: string, size: number) => void = () => {},
  ) {
    this.#next = start;
  }

  /** @param alignment a multiple of {@link ALLOCATION_GRANULARITY} */
  allocate(size: number, alignment: bigint = ALLOCATION_GRANULARITY): bigint {
    this.before(this.name, size);
    const address = roundUp(this.#next, alignment);
    const next = roundUp(address + BigInt(Math.max(1, size)), ALLOCATION_GRANULARITY);
    if (next > this.end) {
      const again = this.#allocateAgain(next - address, alignment);
      if (again !== undefined) return again;
      throw new KernelError({
        rule: 'addressSpaceExhausted',
        status: 'STATUS_NO_MEMORY',
        place: this.name,
        message: `there is no room for ${hex(size)} bytes in ${this.name}`,
      });
    }
    this.#next = next;
    return address;
  }

  /** Nothing lies in the range any more. It is used again when everything has been handed out. */
  free(address: bigint, size: number): void {
    const start = roundUp(address, ALLOCATION_GRANULARITY);
    const end = roundUp(address + BigInt(Math.max(1, size)), ALLOCATION_GRANULARITY);
    if (start >= this.start && end <= this.end && start < end) this.#free.push({ start, end });
  }

  #allocateAgain(size: bigint, alignment: bigint): bigint | undefined {
    for (const [index, { start, end }] of this.#free.entries()) {
      const address = roundUp(start, alignment);
      if (address + size > end) continue;
      const rest = [
        { start, end: address },
        { start: address + size, end },
      ].filter((range) => range.start < range.end);
      this.#free.splice(index, 1, ...rest);
      return address;
    }
    return undefined;
  }

  /** Leaves `size` bytes out: where the first view lies differs from boot to boot. */
  skip(size: bigint): this {
    this.#next += size;
    return this;
  }
}

function roundUp(value: bigint, alignment: bigint): bigint {
  return ((value + alignment - 1n) / alignment) * alignment;
}

/** A region with the page table that its addresses belong to: memory for the guest. */
export class MemoryArea {
  constructor(
    readonly table: PageTable,
    readonly region: AddressRegion,
  ) {}

  /** Commits zeroed memory; returns its address. */
  allocate(size: number): bigint {
    const pages = Math.max(1, Math.ceil(size / PAGE_SIZE));
    const address = this.#place(size, pages);
    this.table.commit(address, pages, 'PAGE_READWRITE', { demandZero: true });
    return address;
  }

  /** Addresses are used again only when the region is full: 32-bit programs come to that. */
  #place(size: number, pages: number): bigint {
    try {
      return this.region.allocate(size);
    } catch (error) {
      if (!(error instanceof KernelError) || error.rule !== 'addressSpaceExhausted') throw error;
      const hole = this.#hole(pages);
      if (hole === undefined) throw error;
      return hole;
    }
  }

  #hole(pages: number): bigint | undefined {
    const { start, end } = this.region;
    const last = end - BigInt(pages * PAGE_SIZE);
    for (let address = start; address <= last; address += ALLOCATION_GRANULARITY) {
      let free = 0;
      while (free < pages && this.table.query(address + BigInt(free * PAGE_SIZE)).state === 'free') free += 1;
      if (free === pages) return address;
    }
    return undefined;
  }
}

/** Gives back what {@link MemoryArea.allocate} gave out. */
export function freeMemory(space: AddressSpace, address: bigint, size: number): void {
  space.table(address).release(address, Math.max(1, Math.ceil(size / PAGE_SIZE)));
}
