import type { AddressSpace } from '../../cpu/index.js';
import { KernelError } from '../common/index.js';

export interface PoolBlock {
  readonly size: number;
  readonly tag: number;
}

/** The blocks that are in use, by address. */
export type PoolState = ReadonlyMap<bigint, PoolBlock & { readonly view: bigint; readonly viewSize: number }>;

/** Where a pool takes its memory from. */
export interface PoolOwner {
  readonly addressSpace: AddressSpace;
  allocateMemory(area: 'pool', size: number): bigint;
  freeMemory(address: bigint, size: number): void;
}

/**
 * The kernel's pool. Every block has pages of its own, ends at the end of its last page (aligned to 16) and is never
 * handed out twice: an overrun past the next page and any use after free fault, as with special pool.
 */
export class Pool {
  /** Replaced, never changed: snapshots hold it. */
  #blocks: PoolState = new Map();

  constructor(private readonly domain: PoolOwner) {}

  get blocks(): ReadonlyMap<bigint, PoolBlock> {
    return this.#blocks;
  }

  /** What later changes leave alone; for snapshots. */
  save(): PoolState {
    return this.#blocks;
  }

  load(state: PoolState): void {
    this.#blocks = state;
  }

  /** All of a saved state that a program can notice. */
  static describe(state: PoolState): string {
    return [...state].map(([address, { size, tag }]) => `${address} ${size} ${tag}`).join();
  }

  /** Address of `size` bytes filled with `fill`; 0 when `size` is 0 or beyond 64 MB, as the drivers must check. */
  allocate(size: number, tag: number, options: { fill: number; quota: boolean }): bigint {
    if (size === 0 || size > 0x400_0000) return 0n;
    const viewSize = Math.ceil(size / 0x1000) * 0x1000;
    const view = this.domain.allocateMemory('pool', viewSize);
    const address = view + BigInt((viewSize - size) & ~15);
    if (options.fill !== 0) this.domain.addressSpace.write(address, new Uint8Array(size).fill(options.fill));
    this.#blocks = new Map(this.#blocks).set(address, { size, tag, view, viewSize });
    return address;
  }

  /** Why a caller may not free it: no block begins there, or it has another tag; undefined: it may. */
  refusal(address: bigint, tag: number): { readonly tag: number | undefined } | undefined {
    const block = this.#blocks.get(address);
    if (block === undefined) return { tag: undefined };
    return tag !== 0 && block.tag !== 0 && tag !== block.tag ? { tag: block.tag } : undefined;
  }

  /** @throws KernelError `badPoolCaller` when it is not an allocation, or another tag's */
  free(address: bigint, tag: number): void {
    const block = this.#blocks.get(address);
    if (block === undefined || this.refusal(address, tag) !== undefined)
      throw new KernelError({
        rule: 'badPoolCaller',
        status: 'STATUS_INVALID_PARAMETER',
        place: `0x${address.toString(16)}`,
        message: `0x${address.toString(16)} is not a pool block with this tag`,
      });
    const left = new Map(this.#blocks);
    left.delete(address);
    this.#blocks = left;
    this.domain.freeMemory(block.view, block.viewSize);
  }
}
