import { type Iced, iced, withInstruction } from '../instruction/x86.js';
import type { Processor } from '../processor.js';
import { memoryAddress, readGeneral } from './x86-operands.js';

/**
 * What the processor does not say of an exception and Windows finds out by looking at the instruction, as its trap
 * handlers do. `bytes`: the instruction at the program counter, as far as it can be fetched.
 */
type Look<T> = (processor: Processor, bytes: Uint8Array) => T;

/** Whether a divide error is one of a divisor that is not 0: the quotient does not fit. */
export const isDivideOverflow: Look<boolean> = (processor, bytes) =>
  withInstruction(processor.bits, bytes, processor.pc, (instruction) => {
    const { Mnemonic, OpKind, Code } = iced();
    const { mnemonic } = instruction;
    if (mnemonic !== Mnemonic.Div && mnemonic !== Mnemonic.Idiv) return false;
    if (instruction.op0Kind === OpKind.Register) {
      return readGeneral(processor, instruction.op0Register) !== 0n;
    }
    const bits = Number(/rm(\d+)$/.exec(Code[instruction.code] ?? '')?.[1] ?? 64);
    const divisor = processor.addressSpace.read(memoryAddress(instruction)(processor), bits / 8);
    return divisor.some((byte) => byte !== 0);
  });

/** Whether only the kernel may execute the instruction (and, for I/O, whoever has the privilege level for it). */
export const isPrivileged: Look<boolean> = (processor, bytes) =>
  withInstruction(processor.bits, bytes, processor.pc, (instruction) => instruction.isPrivileged);

let readModifyWrite: ReadonlySet<number> | undefined;

const modifying = ({ Mnemonic }: Iced): ReadonlySet<number> =>
  new Set([
    ...[Mnemonic.Adc, Mnemonic.Add, Mnemonic.And, Mnemonic.Dec, Mnemonic.Inc, Mnemonic.Neg, Mnemonic.Not],
    ...[Mnemonic.Or, Mnemonic.Sbb, Mnemonic.Sub, Mnemonic.Xor, Mnemonic.Xadd, Mnemonic.Xchg],
    ...[Mnemonic.Cmpxchg, Mnemonic.Cmpxchg8b, Mnemonic.Cmpxchg16b, Mnemonic.Btc, Mnemonic.Btr, Mnemonic.Bts],
    ...[Mnemonic.Rcl, Mnemonic.Rcr, Mnemonic.Rol, Mnemonic.Ror, Mnemonic.Sal, Mnemonic.Sar, Mnemonic.Shl],
    ...[Mnemonic.Shr, Mnemonic.Shld, Mnemonic.Shrd],
  ]);

/**
 * Whether the instruction reads a place to write it: a processor checks the right to write first, so that its page fault
 * is one of a write (Intel SDM vol. 3, "Page-Fault Exceptions", W/R; measured on a processor).
 */
export const isReadModifyWrite: Look<boolean> = (processor, bytes) =>
  withInstruction(processor.bits, bytes, processor.pc, (instruction) => {
    const { OpKind } = iced();
    readModifyWrite ??= modifying(iced());
    const isMemory = instruction.opCount > 0 && instruction.op0Kind === OpKind.Memory;
    return isMemory && readModifyWrite.has(instruction.mnemonic);
  });
