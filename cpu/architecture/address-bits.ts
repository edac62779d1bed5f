import type { ArchitectureName } from './architecture.js';

/** Bits of an address; what is above them is cut off. */
export const ADDRESS_BITS: Readonly<Record<ArchitectureName, 32 | 64>> = { x64: 64, x86: 32, arm64: 64 };
