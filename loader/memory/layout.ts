import type { Architecture, PageTableRange } from '../../cpu/index.js';
import { AddressRegion } from './address-region.js';

/** Where the parts of an address space lie. The addresses are this project's own choice, inside the ranges Windows uses. */
interface Layout {
  readonly range: Omit<PageTableRange, 'name'>;
  readonly images: readonly [start: bigint, end: bigint];
  readonly services: readonly [start: bigint, end: bigint];
  readonly stacks: readonly [start: bigint, end: bigint];
  readonly pool: readonly [start: bigint, end: bigint];
  /** PEB.Ldr and its entries; they lie in the heap where there is none. */
  readonly loaderData?: readonly [start: bigint, end: bigint];
}

/** Kernel space, the same in every process. */
export const SYSTEM_SPACE: Layout = {
  range: { start: 0xffff8000_00000000n, end: 0xfffff900_00000000n, mode: 'kernel' },
  pool: [0xffffb800_00000000n, 0xffffb900_00000000n],
  services: [0xfffff800_00000000n, 0xfffff800_10000000n],
  images: [0xfffff800_10000000n, 0xfffff880_00000000n],
  stacks: [0xfffff880_00000000n, 0xfffff900_00000000n],
};

/** One entry of the root page table: what is switched with the session (docs/fidelity.md#the-system-around-it). */
export const SESSION_SPACE = {
  range: { start: 0xfffff900_00000000n, end: 0xfffff980_00000000n, mode: 'kernel' },
  images: [0xfffff960_00000000n, 0xfffff970_00000000n],
} as const;

/** Virtual trust level 1: the Secure Kernel, its modules and the hypervisor. */
export const SECURE_SPACE: Layout = {
  range: { start: 0xfffff980_00000000n, end: 0xfffffa00_00000000n, mode: 'kernel', vtl: 1 },
  services: [0xfffff980_00000000n, 0xfffff980_10000000n],
  images: [0xfffff980_10000000n, 0xfffff9a0_00000000n],
  stacks: [0xfffff9a0_00000000n, 0xfffff9c0_00000000n],
  pool: [0xfffff9c0_00000000n, 0xfffffa00_00000000n],
};

const USER_SPACE_64: Layout = {
  range: { start: 0x10000n, end: 0x7fff_ffff0000n, mode: 'user' },
  stacks: [0x80_00000000n, 0x100_00000000n],
  pool: [0x200_00000000n, 0x300_00000000n],
  images: [0x7ff8_00000000n, 0x7ffe_00000000n],
  services: [0x7fff_e0000000n, 0x7fff_f0000000n],
};

/** 32-bit code of WOW64 processes lies below 2 GB. */
const USER_SPACE_32: Layout = {
  range: { start: 0x10000n, end: 0x7fff0000n, mode: 'user' },
  stacks: [0x100000n, 0x2000000n],
  pool: [0x2000000n, 0x9000000n],
  images: [0x10000000n, 0x77000000n],
  services: [0x77000000n, 0x7f000000n],
  loaderData: [0xf000000n, 0x10000000n],
};

/** Of a process, by the bits of its code's addresses. */
export const USER_SPACE: Readonly<Record<Architecture['addressBits'], Layout>> = {
  32: USER_SPACE_32,
  64: USER_SPACE_64,
};

/** PsLoadedModuleList and its entries. */
export const SYSTEM_LOADER_DATA = [0xffffba00_00000000n, 0xffffba10_00000000n] as const;

/** Makes a region of addresses, from its first to the one behind its last. */
export type MakeRegion = (name: string, bounds: readonly [start: bigint, end: bigint]) => AddressRegion;

/** @param before called before address space of any of the regions is handed out; what it throws refuses it */
export function regionMaker(before?: (region: string, size: number) => void): MakeRegion {
  return (name, [start, end]) => new AddressRegion(name, start, end, before);
}
