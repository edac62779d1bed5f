import { machineNameOf } from '../architecture.js';
import { nameOf } from '../text.js';
import type { MachineName } from '../winnt.js';
import type { CoffSymbol } from './coff-symbols.js';

/** IMAGE_RELOCATION of winnt.h. */
export interface ObjectRelocation {
  /** Where in the section's data. */
  readonly offset: number;
  /** IMAGE_REL_* of the object's machine. */
  readonly type: number;
  /** winnt.h's name without `IMAGE_REL_AMD64_` and the like; the number if it has none. */
  readonly typeName: string;
  /** What the place shall refer to. */
  readonly symbol: CoffSymbol;
}

/** IMAGE_REL_AMD64_*. */
export const IMAGE_REL_AMD64 = {
  ABSOLUTE: 0x0,
  ADDR64: 0x1,
  ADDR32: 0x2,
  ADDR32NB: 0x3,
  REL32: 0x4,
  REL32_1: 0x5,
  REL32_2: 0x6,
  REL32_3: 0x7,
  REL32_4: 0x8,
  REL32_5: 0x9,
  SECTION: 0xa,
  SECREL: 0xb,
  SECREL7: 0xc,
  TOKEN: 0xd,
  SREL32: 0xe,
  PAIR: 0xf,
  SSPAN32: 0x10,
} as const;

/** IMAGE_REL_I386_*. */
export const IMAGE_REL_I386 = {
  ABSOLUTE: 0x0,
  DIR16: 0x1,
  REL16: 0x2,
  DIR32: 0x6,
  DIR32NB: 0x7,
  SEG12: 0x9,
  SECTION: 0xa,
  SECREL: 0xb,
  TOKEN: 0xc,
  SECREL7: 0xd,
  REL32: 0x14,
} as const;

/** IMAGE_REL_ARM64_*. */
export const IMAGE_REL_ARM64 = {
  ABSOLUTE: 0x0,
  ADDR32: 0x1,
  ADDR32NB: 0x2,
  BRANCH26: 0x3,
  PAGEBASE_REL21: 0x4,
  REL21: 0x5,
  PAGEOFFSET_12A: 0x6,
  PAGEOFFSET_12L: 0x7,
  SECREL: 0x8,
  SECREL_LOW12A: 0x9,
  SECREL_HIGH12A: 0xa,
  SECREL_LOW12L: 0xb,
  TOKEN: 0xc,
  SECTION: 0xd,
  ADDR64: 0xe,
  BRANCH19: 0xf,
  BRANCH14: 0x10,
  REL32: 0x11,
} as const;

const RELOCATION_TYPES: Readonly<Record<MachineName, Readonly<Record<string, number>>>> = {
  UNKNOWN: {},
  I386: IMAGE_REL_I386,
  ARMNT: {},
  AMD64: IMAGE_REL_AMD64,
  ARM64EC: IMAGE_REL_ARM64,
  ARM64X: IMAGE_REL_ARM64,
  ARM64: IMAGE_REL_ARM64,
};

/** The relocation types of a machine; empty for one that is unknown here. */
export function relocationTypes(machine: number): Readonly<Record<string, number>> {
  return RELOCATION_TYPES[machineNameOf(machine) ?? 'UNKNOWN'];
}

/** winnt.h's name of a relocation without its prefix; the number if it has none. */
export function relocationTypeName(machine: number, type: number): string {
  return nameOf(type, relocationTypes(machine)) ?? String(type);
}
