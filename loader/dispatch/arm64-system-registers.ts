import type { Processor } from '../../cpu/index.js';
import type { Thread } from '../threads/index.js';

/** `mrs xt, register` without its register number (Arm ARM, C6.2 "MRS"). */
const MRS_MASK = 0xffffffe0;
const ZERO_REGISTER = 31;

/**
 * Registers that user mode may not read and the kernel reads for it, as Windows does for the start-up code of Microsoft's
 * C runtime: which exception level this is, and which instructions the processor has.
 */
const EMULATED: ReadonlyMap<number, bigint> = new Map([
  [0xd5384240, 0n], // CurrentEL: EL0
  [0xd5380600, 0x0020_0000n], // ID_AA64ISAR0_EL1: Atomic 2, the large system extensions
  [0xd5380400, 0n], // ID_AA64PFR0_EL1
]);

/** Does what an `mrs` that was refused in user mode should have done; false when it is not such an instruction. */
export function emulateRegisterRead(thread: Thread, processor: Processor): boolean {
  if (thread.domain.ring !== 3) return false;
  const { pc } = processor;
  const word = thread.addressSpace.readU32(pc);
  const value = EMULATED.get((word & MRS_MASK) >>> 0);
  if (value === undefined) return false;
  const target = word & 31;
  if (target !== ZERO_REGISTER) processor.set(`x${target}`, value);
  processor.pc = pc + 4n;
  return true;
}
