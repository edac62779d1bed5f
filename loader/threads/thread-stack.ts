import { PAGE_SIZE } from '../../cpu/index.js';
import type { ImageDomain } from '../images/index.js';

const PAGE = BigInt(PAGE_SIZE);
/** Bytes of a user stack that have memory from the start; the image's SizeOfStackCommit is not asked (modelled). */
const INITIAL_COMMIT = 0x4000;
/** What a handler of a stack overflow has left, above the page that never gets memory. */
const GUARANTEE = 3n * PAGE;
/**
 * Kernel stacks are this large. Views begin at multiples of 64 KB, so that as much below each is free: a user stack has
 * that, too.
 */
const HALF = 0x8000;

/**
 * The stack of a thread. A kernel stack has memory all over. A user stack grows: below what is in use lies a guard page,
 * and touching it gives it memory and makes the next page the guard, down to the last page but one, where the touch is a
 * stack overflow.
 */
export class ThreadStack {
  #limit: bigint;

  constructor(
    readonly domain: ImageDomain,
    readonly base: bigint,
    readonly size: number,
    /** Called with the new StackLimit. */
    private readonly onGrowth: (limit: bigint) => void = () => {},
  ) {
    this.#limit = base;
  }

  /** Reserves a stack and gives it its first memory. */
  static allocate(domain: ImageDomain, onGrowth?: (limit: bigint) => void): ThreadStack {
    const { table } = domain;
    const middle = domain.allocateMemory('stacks', HALF);
    if (domain.kind !== 'user') return new ThreadStack(domain, middle, HALF);
    const stack = new ThreadStack(domain, middle - BigInt(HALF), 2 * HALF, onGrowth);
    table.reserve(stack.base, HALF / PAGE_SIZE);
    table.decommit(middle, (HALF - INITIAL_COMMIT) / PAGE_SIZE);
    stack.#limit = stack.end - BigInt(INITIAL_COMMIT);
    stack.#guard();
    return stack;
  }

  /** First address behind it: TEB.NtTib.StackBase. */
  get end(): bigint {
    return this.base + BigInt(this.size);
  }

  /** Lowest address that may be used: TEB.NtTib.StackLimit. */
  get limit(): bigint {
    return this.#limit;
  }

  contains(address: bigint): boolean {
    return address >= this.base && address < this.end;
  }

  /** Is this the guard page of the stack, or below it? */
  isBelowLimit(address: bigint): boolean {
    return address >= this.base && address < this.#limit;
  }

  /** The guard page was touched: it becomes part of the stack. False: the stack is full now (STATUS_STACK_OVERFLOW). */
  touchGuard(): boolean {
    const page = this.#limit - PAGE;
    if (page <= this.base) return false;
    this.domain.table.protect(page, 1, 'PAGE_READWRITE');
    this.#limit = page;
    if (page - PAGE > this.base + GUARANTEE) this.#guard();
    else {
      this.#limit = this.base + PAGE;
      const rest = Number((page - this.#limit) / PAGE);
      this.domain.table.commit(this.#limit, rest, 'PAGE_READWRITE', { demandZero: true });
    }
    this.onGrowth(this.#limit);
    return this.#limit === page;
  }

  /** Gives memory down to `address`; false when that is below the stack. */
  grow(address: bigint): boolean {
    if (address < this.base || address >= this.end) return false;
    while (address < this.#limit) if (!this.touchGuard()) return address >= this.#limit;
    return true;
  }

  free(): void {
    this.domain.freeMemory(this.base, this.size);
  }

  #guard(): void {
    this.domain.table.commit(this.#limit - PAGE, 1, 'PAGE_READWRITE', { demandZero: true, guard: true });
  }
}
