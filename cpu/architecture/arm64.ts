import { arm64Encoder } from '../encode/arm64.js';
import { instructionLength } from '../instruction.js';
import { ARM64_REGISTERS } from '../unicorn/registers.js';
import { ADDRESS_BITS } from './address-bits.js';
import { type Architecture, argumentBits, bitsToFloat, byteOffset, floatBits } from './architecture.js';

const REGISTER_ARGUMENTS = 8;
const general = Array.from({ length: 31 }, (_, index) => `x${index}`);

/**
 * ARM64 with the Windows calling convention (AAPCS64; learn.microsoft.com, "Overview of ARM64 ABI conventions"). Integer
 * and floating-point arguments are counted apart: `index` is among those of its own kind, and behind the registers the
 * stack is taken to hold only that kind.
 */
export const arm64: Architecture = {
  name: 'arm64',
  system: 'arm64',
  pointerSize: 8,
  addressBits: ADDRESS_BITS.arm64,
  hasNoncanonical: false,
  programCounter: 'pc',
  stackPointer: 'sp',
  threadRegister: 'x18',
  registers: [...general, 'sp', 'pc', 'nzcv'],
  stackAlignment: 16,
  returnAddressSize: 0,
  minimumInstructionLength: 4,
  maximumInstructionLength: 4,
  hasUnwindTables: true,
  distinguishesConventions: false,
  countsFloatsApart: true,
  returnAddress: 0xffff_ffff_ffff_f000n,
  breakpoint: arm64Encoder.breakpoint(),
  engine: 'arm64',
  registerFile: ARM64_REGISTERS,
  initialMode: { ring: 0, bits: 64 },
  encode: arm64Encoder,
  branchTarget: (bytes, at) => arm64Encoder.branchTarget(bytes, at),
  instructionLength: (bytes, at) => instructionLength('arm64', bytes, at),

  prepareCall(processor, call) {
    const stack: bigint[] = [];
    const used = { x: 0, d: 0 };
    for (const argument of call.arguments) {
      const { bits, isFloat } = argumentBits(argument);
      const kind = isFloat ? 'd' : 'x';
      if (used[kind] < REGISTER_ARGUMENTS) processor.set(`${kind}${used[kind]++}`, bits);
      else stack.push(bits);
    }
    const top = call.stackTop - (call.stackTop % 16n);
    const sp = top - BigInt(Math.ceil(stack.length / 2) * 16);
    for (const [index, bits] of stack.entries())
      processor.addressSpace.writeU64(sp + BigInt(index * 8), bits);
    processor.sp = sp;
    processor.set('x30', arm64.returnAddress);
    processor.pc = call.target;
  },

  stackArgument: (processor, index) =>
    index < REGISTER_ARGUMENTS ? undefined : processor.sp + byteOffset(index - REGISTER_ARGUMENTS, 8),

  argument(processor, index) {
    if (index < REGISTER_ARGUMENTS) return processor.get(`x${index}`);
    return processor.addressSpace.readU64(processor.sp + byteOffset(index - REGISTER_ARGUMENTS, 8));
  },

  floatArgument(processor, index, size = 'double') {
    const bits =
      index < REGISTER_ARGUMENTS
        ? processor.get(`d${index}`)
        : processor.addressSpace.readU64(processor.sp + byteOffset(index - REGISTER_ARGUMENTS, 8));
    return bitsToFloat(bits, size);
  },

  result: (processor) => processor.get('x0'),
  setResult: (processor, value) => processor.set('x0', value),
  floatResult: (processor, size = 'double') => bitsToFloat(processor.get('d0'), size),
  setFloatResult: (processor, value, size = 'double') => processor.set('d0', floatBits(value, size)),
  returnAddressAtEntry: (processor) => processor.get('x30'),

  returnFromCall(processor) {
    processor.pc = processor.get('x30');
  },
};
