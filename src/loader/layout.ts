import type { ArchitectureName } from '../cpu/index.js';

/** Where a domain of images keeps what. Addresses are this project's own choice, inside the ranges Windows uses. */
export interface DomainLayout {
  readonly mode: 'kernel' | 'user';
  readonly start: bigint;
  readonly end: bigint;
  /** Images, each with its HPAT behind it. */
  readonly images: bigint;
  /** Simulated exports: addresses that leave the guest. */
  readonly services: bigint;
  readonly pool: bigint;
  readonly stacks: bigint;
}

const KERNEL_64: DomainLayout = {
  mode: 'kernel',
  start: 0xffff8000_00000000n,
  end: 0xffffffff_00000000n,
  services: 0xfffff800_00000000n,
  images: 0xfffff800_10000000n,
  stacks: 0xfffff880_00000000n,
  pool: 0xffffb800_00000000n,
};

/** 32-bit code exists in user mode only (WOW64), below 2 GB. */
const USER_32: DomainLayout = {
  mode: 'user',
  start: 0x10000n,
  end: 0x7fff0000n,
  stacks: 0x100000n,
  pool: 0x2000000n,
  images: 0x10000000n,
  services: 0x77000000n,
};

export function systemLayout(architecture: ArchitectureName): DomainLayout {
  return architecture === 'x86' ? USER_32 : KERNEL_64;
}
