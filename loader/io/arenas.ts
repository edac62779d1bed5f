import { PAGE_SIZE, type PageTable } from '../../cpu/index.js';

const PAGE = BigInt(PAGE_SIZE);
const LARGEST = 0x400_0000;

export interface ArenaLayout {
  readonly start: bigint;
  readonly end: bigint;
  /** Bytes of each thread's arena. */
  readonly stride: bigint;
}

/** In 32-bit programs all threads share one arena: there is no room for more (modelled). */
export const ARENAS = {
  8: { start: 0xffffbb00_00000000n, end: 0xffffcb00_00000000n, stride: 0x1_00000000n },
  4: { start: 0x7f80_0000n, end: 0x7ff0_0000n, stride: 0x70_0000n },
} as const satisfies Record<4 | 8, ArenaLayout>;

/**
 * Memory of requests that are under way. Each thread has an arena of its own and gets the same addresses again for its
 * next request, whatever others do in between; a block ends at the end of its last page, with nothing behind it, and is
 * gone when it is freed. The page table alone knows what is taken, so that all of it is part of every snapshot.
 */
export class RequestArenas {
  constructor(
    private readonly table: PageTable,
    private readonly layout: ArenaLayout,
  ) {}

  /** Zeroed bytes, at a multiple of 16; 0 when there is no room. */
  allocate(threadId: number, size: number): bigint {
    if (size <= 0 || size > LARGEST) return 0n;
    const { start, end, stride } = this.layout;
    const arenas = (end - start) / stride;
    const base = start + (BigInt(threadId >>> 2) % arenas) * stride;
    const pages = Math.ceil(size / PAGE_SIZE);
    const first = this.#room(base, base + stride, pages);
    if (first === undefined) return 0n;
    this.table.commit(first, pages, 'PAGE_READWRITE', { demandZero: true });
    return first + BigInt((pages * PAGE_SIZE - size) & ~15);
  }

  /** @throws CpuError when nothing lies there */
  free(address: bigint): void {
    let first = address & ~(PAGE - 1n);
    while (this.#isTaken(first - PAGE)) first -= PAGE;
    let pages = 1;
    while (this.#isTaken(first + BigInt(pages) * PAGE)) pages += 1;
    this.table.release(first, pages);
  }

  owns(address: bigint): boolean {
    return address >= this.layout.start && address < this.layout.end;
  }

  /** The first free pages with a free one before and behind them. */
  #room(base: bigint, end: bigint, pages: number): bigint | undefined {
    let free = 0;
    for (let at = base; at < end; at += PAGE) {
      free = this.#isTaken(at) ? 0 : free + 1;
      if (free === pages + 2) return at - BigInt(pages) * PAGE;
    }
    return undefined;
  }

  #isTaken(address: bigint): boolean {
    return this.table.query(address).state !== 'free';
  }
}
