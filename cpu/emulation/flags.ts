import type { Processor } from '../processor.js';
import { hasEvenParity } from './bits.js';

/** Bits of RFLAGS that instructions of arithmetic set (Intel SDM vol. 1, "EFLAGS Register"). */
export const FLAG = { CF: 0x1n, PF: 0x4n, AF: 0x10n, ZF: 0x40n, SF: 0x80n, OF: 0x800n } as const;
export type FlagName = keyof typeof FLAG;

export const ALL_FLAGS: readonly FlagName[] = ['CF', 'PF', 'AF', 'ZF', 'SF', 'OF'];

/** Sets the named flags, one bit each, and leaves the others. */
export function setFlags(processor: Processor, flags: Readonly<Partial<Record<FlagName, boolean>>>): void {
  let value = processor.get('rflags');
  for (const name of ALL_FLAGS) {
    const isSet = flags[name];
    if (isSet !== undefined) value = isSet ? value | FLAG[name] : value & ~FLAG[name];
  }
  processor.set('rflags', value);
}

export const isNegative = (value: bigint, size: number): boolean => ((value >> BigInt(size - 1)) & 1n) === 1n;

/** What CMP sets for `left - right`. */
export function flagsOfSubtraction(
  left: bigint,
  right: bigint,
  size: number,
): Readonly<Record<FlagName, boolean>> {
  const result = BigInt.asUintN(size, left - right);
  return {
    CF: left < right,
    PF: hasEvenParity(result),
    AF: (left & 15n) < (right & 15n),
    ZF: result === 0n,
    SF: isNegative(result, size),
    OF: isNegative((left ^ right) & (left ^ result), size),
  };
}
