import { type AddressSpace, type Architecture, PAGE_SIZE, type PageTable } from '../../cpu/index.js';
import type { GuestMemory } from './guest-memory.js';

/** Where the heaps of a process lie. */
export interface HeapLayout {
  /** First arena; arena n lies n strides behind it. */
  readonly start: bigint;
  readonly stride: bigint;
  readonly arenas: number;
  /** Bytes of each stride for blocks that share pages; the rest is for those with pages of their own. */
  readonly small: bigint;
}

const HEAP_64: HeapLayout = {
  start: 0x300_00000000n,
  stride: 0x1_00000000n,
  arenas: 128,
  small: 0x8000_0000n,
};
const HEAP_32: HeapLayout = { start: 0x9000000n, stride: 0x600000n, arenas: 16, small: 0x200000n };

/** Of a process, by the bits of its code's addresses. */
export const HEAP_LAYOUT: Readonly<Record<Architecture['addressBits'], HeapLayout>> = {
  32: HEAP_32,
  64: HEAP_64,
};

/**
 * `normal`: blocks lie side by side and are used again, so that an overrun reaches the next block, as on Windows.
 * `checked`: every block has pages of its own, ends at the end of the last, and freed memory is not used again: an overrun
 * of 16 bytes or a use after free faults at once, a smaller overrun or an underrun is found when the block is freed.
 */
export type HeapMode = 'normal' | 'checked';

/** What is wrong with a block that is given back. */
export type HeapFailure = 'notABlock' | 'freedTwice' | 'overwritten';

const HEADER = 16n;
const MAGIC = 0x4842;
const BUSY = 0xa5;
const FREE = 0x5a;
const LARGE = 0xc3;
const CHECKED = 0x3c;
const RED = 0xfb;
/** What memory holds that nobody has written to. */
const UNINITIALIZED = 0xcd;
/** Blocks beyond this have pages of their own. */
const LARGEST_SMALL = 0x8000;
const PAGE = BigInt(PAGE_SIZE);

/** Offsets in an arena's first page. */
const ARENA = { top: 8n, committed: 0x10n, cursor: 0x18n, lists: 0x100n } as const;
const FIRST_BLOCK = 0x800n;
const COMMIT_STEP = 0x10000n;

/** Capacities of the lists: steps of 16 to 1 KB, then four for each doubling. */
const CAPACITIES: readonly number[] = (() => {
  const sizes: number[] = [];
  for (let size = 16; size <= 1024; size += 16) sizes.push(size);
  for (let base = 1024; base < LARGEST_SMALL; base *= 2)
    for (let step = 1; step <= 4; step++) sizes.push(base + (base / 4) * step);
  return sizes;
})();

function classOf(size: number): number {
  if (size <= 1024) return Math.max(0, Math.ceil(size / 16) - 1);
  return CAPACITIES.findIndex((capacity) => capacity >= size);
}

export interface HeapBlock {
  readonly address: bigint;
  readonly size: number;
  readonly capacity: number;
  readonly arena: number;
  readonly state: number;
}

/**
 * The heaps of a process. All that they know lies in guest memory, so that it is part of every snapshot. Each thread has an
 * arena of its own: the addresses that it gets do not depend on what other threads do in between.
 */
export class Heap {
  constructor(
    private readonly table: PageTable,
    private readonly space: AddressSpace,
    private readonly layout: HeapLayout,
    readonly mode: HeapMode,
    /** Bytes that the machine could hold at most. */
    private readonly largest: number,
  ) {}

  /** GetProcessHeap: the handle of the heap that threads share. */
  get processHeap(): bigint {
    return this.layout.start;
  }

  /** Arenas that threads may have; the others are for heaps that are created. */
  get threadArenas(): number {
    return (this.layout.arenas * 3) / 4;
  }

  /** Address of `size` bytes; 0 when there is no room. */
  allocate(memory: GuestMemory, arena: number, size: number | bigint, zero: boolean): bigint {
    if (size > this.largest || size < 0) return 0n;
    const wanted = Number(size);
    const base = this.#arena(memory, arena % this.layout.arenas);
    if (this.mode === 'checked') return this.#allocatePages(memory, base, arena, wanted, zero);
    if (wanted > LARGEST_SMALL) return this.#allocatePages(memory, base, arena, wanted, zero);
    const index = classOf(wanted);
    const capacity = CAPACITIES[index] ?? LARGEST_SMALL;
    const list = base + ARENA.lists + BigInt(8 * index);
    let block = memory.readU64(list);
    if (block === 0n) block = this.#extend(memory, base, capacity);
    else memory.writeU64(list, memory.readU64(block + 8n));
    if (block === 0n) return this.#allocatePages(memory, base, arena, wanted, zero);
    this.#writeHeader(memory, block, BUSY, arena, capacity, wanted);
    memory.fill(block + HEADER, wanted, zero ? 0 : UNINITIALIZED);
    return block + HEADER;
  }

  /** What lies at an address that was given out; what is wrong with it otherwise. */
  block(memory: GuestMemory, address: bigint): HeapBlock | HeapFailure {
    const end = this.layout.start + this.layout.stride * BigInt(this.layout.arenas);
    if (address % 16n !== 0n || address < this.layout.start + HEADER || address >= end) return 'notABlock';
    const header = memory.read(address - HEADER, 16);
    const view = new DataView(header.buffer, header.byteOffset);
    const state = view.getUint8(2);
    if (view.getUint16(0, true) !== MAGIC) return 'overwritten';
    if (state === FREE) return 'freedTwice';
    if (state !== BUSY && state !== LARGE && state !== CHECKED) return 'overwritten';
    return {
      address,
      state,
      arena: view.getUint8(3),
      capacity: view.getUint32(4, true) * 16,
      size: Number(view.getBigUint64(8, true)),
    };
  }

  /** Gives a block back. */
  free(memory: GuestMemory, address: bigint): HeapFailure | undefined {
    const block = this.block(memory, address);
    if (typeof block === 'string') return block;
    if (block.state === CHECKED && !this.#isIntact(memory, block)) return 'overwritten';
    if (block.state === BUSY) {
      const base = this.#base(block.arena);
      const index = CAPACITIES.indexOf(block.capacity);
      if (index < 0) return 'overwritten';
      const list = base + ARENA.lists + BigInt(8 * index);
      const header = address - HEADER;
      this.#writeHeader(memory, header, FREE, block.arena, block.capacity, 0);
      memory.writeU64(header + 8n, memory.readU64(list));
      memory.writeU64(list, header);
      return undefined;
    }
    const { first, pages } = pagesOf(block);
    if (this.mode === 'checked') this.table.decommit(first, pages);
    else this.table.release(first, pages);
    return undefined;
  }

  /** A block of another size with the same contents; 0 when there is no room, and the old one stays. */
  reallocate(
    memory: GuestMemory,
    arena: number,
    address: bigint,
    size: number | bigint,
    zero: boolean,
  ): bigint | HeapFailure {
    const block = this.block(memory, address);
    if (typeof block === 'string') return block;
    if (block.state === BUSY && size <= block.capacity && size > block.capacity / 2) {
      const header = address - HEADER;
      const grown = Number(size) - block.size;
      if (grown > 0) memory.fill(address + BigInt(block.size), grown, zero ? 0 : UNINITIALIZED);
      this.#writeHeader(memory, header, BUSY, block.arena, block.capacity, Number(size));
      return address;
    }
    const moved = this.allocate(memory, arena, size, zero);
    if (moved === 0n) return 0n;
    memory.copy(moved, address, Math.min(block.size, Number(size)));
    return this.free(memory, address) ?? moved;
  }

  /** HeapCreate: the number of an arena that nobody uses; undefined when there is none. */
  createArena(memory: GuestMemory): number | undefined {
    for (let arena = this.threadArenas; arena < this.layout.arenas; arena++) {
      if (this.table.query(this.#base(arena)).state !== 'free') continue;
      this.#arena(memory, arena);
      return arena;
    }
    return undefined;
  }

  /** The arena that a handle stands for; undefined: that of the calling thread. */
  arenaOf(handle: bigint): number | undefined {
    const offset = handle - this.layout.start;
    const arena = Number(offset / this.layout.stride);
    return arena >= this.threadArenas && arena < this.layout.arenas && offset % this.layout.stride === 0n
      ? arena
      : undefined;
  }

  handleOf(arena: number): bigint {
    return this.#base(arena);
  }

  /** HeapDestroy: everything in the arena is gone. */
  destroyArena(arena: number): void {
    const base = this.#base(arena);
    const end = base + this.layout.stride;
    for (const { address } of [...this.table.entries()])
      if (address >= base && address < end) this.table.release(address, 1);
  }

  /** Every block of an arena that is in use, by address: of pages of their own, and of those that share pages. */
  *blocks(arena: number): Iterable<{ readonly address: bigint; readonly size: number }> {
    const base = this.#base(arena);
    if (this.table.query(base).state !== 'committed') return;
    const { space } = this;
    const top = space.readU64(base + ARENA.top);
    for (let at = base + FIRST_BLOCK; at < top; ) {
      const capacity = BigInt(space.readU32(at + 4n) * 16);
      if (capacity === 0n || space.readU16(at) !== MAGIC) return;
      if (space.readU8(at + 2n) === BUSY)
        yield { address: at + HEADER, size: Number(space.readU64(at + 8n)) };
      at += HEADER + capacity;
    }
  }

  #base(arena: number): bigint {
    return this.layout.start + this.layout.stride * BigInt(arena);
  }

  /** The arena's first page, made when it is first used. */
  #arena(memory: GuestMemory, arena: number): bigint {
    const base = this.#base(arena);
    if (this.table.query(base).state === 'committed') return base;
    this.table.commit(base, Number(COMMIT_STEP / PAGE), 'PAGE_READWRITE', { demandZero: true });
    memory.writeU64(base + ARENA.top, base + FIRST_BLOCK);
    memory.writeU64(base + ARENA.committed, base + COMMIT_STEP);
    memory.writeU64(base + ARENA.cursor, base + this.layout.small);
    return base;
  }

  /** Room at the end of what the arena has used so far; 0 when it is full. */
  #extend(memory: GuestMemory, base: bigint, capacity: number): bigint {
    const block = memory.readU64(base + ARENA.top);
    const top = block + HEADER + BigInt(capacity);
    if (top > base + this.layout.small) return 0n;
    const committed = memory.readU64(base + ARENA.committed);
    if (top > committed) {
      const next = committed + ((top - committed + COMMIT_STEP - 1n) / COMMIT_STEP) * COMMIT_STEP;
      this.table.commit(committed, Number((next - committed) / PAGE), 'PAGE_READWRITE', { demandZero: true });
      memory.writeU64(base + ARENA.committed, next);
    }
    memory.writeU64(base + ARENA.top, top);
    return block;
  }

  /** A block with pages of its own, at the end of them when the heap is checked. */
  #allocatePages(memory: GuestMemory, base: bigint, arena: number, size: number, zero: boolean): bigint {
    const capacity = Math.max(16, Math.ceil(size / 16) * 16);
    const pages = Math.ceil((capacity + Number(HEADER)) / PAGE_SIZE);
    const view = this.#findPages(memory, base, pages);
    if (view === undefined) return 0n;
    this.table.commit(view, pages, 'PAGE_READWRITE', { demandZero: true });
    const isChecked = this.mode === 'checked';
    const address = isChecked ? view + BigInt(pages * PAGE_SIZE - capacity) : view + HEADER;
    this.#writeHeader(memory, address - HEADER, isChecked ? CHECKED : LARGE, arena, capacity, size);
    if (!isChecked) return address;
    memory.fill(view, address - HEADER - view, RED);
    memory.fill(address + BigInt(size), capacity - size, RED);
    if (!zero) memory.fill(address, size, UNINITIALIZED);
    return address;
  }

  /** Free pages with one behind them that stays free; what has been freed is used again when there is nothing else. */
  #findPages(memory: GuestMemory, base: bigint, pages: number): bigint | undefined {
    const first = base + this.layout.small;
    const end = base + this.layout.stride;
    const bytes = BigInt((pages + 1) * PAGE_SIZE);
    const find = (from: bigint): bigint | undefined => {
      const found = this.space.findFree(from, pages + 1);
      return found !== undefined && found + bytes <= end ? found : undefined;
    };
    let found = find(memory.readU64(base + ARENA.cursor)) ?? find(first);
    if (found === undefined) {
      for (let at = first; at < end; at += PAGE)
        if (this.table.query(at).state === 'reserved') this.table.release(at, 1);
      found = find(first);
    }
    if (found !== undefined) memory.writeU64(base + ARENA.cursor, found + bytes);
    return found;
  }

  #writeHeader(
    memory: GuestMemory,
    at: bigint,
    state: number,
    arena: number,
    capacity: number,
    size: number,
  ): void {
    const header = new Uint8Array(16);
    const view = new DataView(header.buffer);
    view.setUint16(0, MAGIC, true);
    view.setUint8(2, state);
    view.setUint8(3, arena);
    view.setUint32(4, capacity / 16, true);
    view.setBigUint64(8, BigInt(size), true);
    memory.write(at, header);
  }

  /** Are the bytes before and behind a checked block as they were made? */
  #isIntact(memory: GuestMemory, block: HeapBlock): boolean {
    const { first } = pagesOf(block);
    const before = memory.read(first, block.address - HEADER - first);
    const behind = memory.read(block.address + BigInt(block.size), block.capacity - block.size);
    return before.every((byte) => byte === RED) && behind.every((byte) => byte === RED);
  }
}

function pagesOf({ address, capacity }: HeapBlock): { first: bigint; pages: number } {
  const first = (address - HEADER) & ~(PAGE - 1n);
  const end = address + BigInt(capacity);
  return { first, pages: Number((end - first + PAGE - 1n) / PAGE) };
}
