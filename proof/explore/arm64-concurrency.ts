import type { ArchitectureName } from '../../cpu/index.js';

/** Does the architecture say which instructions may be changed while another processor runs them? */
export const LIMITS_CHANGES: Readonly<Record<ArchitectureName, boolean>> = {
  x64: false,
  x86: false,
  arm64: true,
};

/** Instructions that may be replaced, and be the replacement, while a processor executes them: mask and value. */
const CONCURRENT: readonly (readonly [mask: number, value: number, name: string])[] = [
  [0xfc000000, 0x14000000, 'b'],
  [0xfc000000, 0x94000000, 'bl'],
  [0xffffffff, 0xd503201f, 'nop'],
  [0xffe0001f, 0xd4200000, 'brk'],
  [0xffe0001f, 0xd4000001, 'svc'],
  [0xffe0001f, 0xd4000002, 'hvc'],
  [0xffe0001f, 0xd4000003, 'smc'],
  [0xfffff0ff, 0xd50330df, 'isb'],
];

const isListed = (word: number): boolean => CONCURRENT.some(([mask, value]) => (word & mask) >>> 0 === value);

/** Arm ARM, "Concurrent modification and execution of instructions": both must be on the list. */
export function mayChangeConcurrently(before: number, after: number): boolean {
  return isListed(before) && isListed(after);
}
