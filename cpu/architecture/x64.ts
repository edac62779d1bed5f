import { x64Encoder } from '../encode/x86.js';
import { instructionLength } from '../instruction.js';
import type { Processor } from '../processor.js';
import { X86_REGISTERS } from '../unicorn/registers.js';
import { ADDRESS_BITS } from './address-bits.js';
import { type Architecture, argumentBits, bitsToFloat, byteOffset, floatBits } from './architecture.js';

const INTEGER_ARGUMENTS = ['rcx', 'rdx', 'r8', 'r9'] as const;
const FLOAT_ARGUMENTS = ['xmm0', 'xmm1', 'xmm2', 'xmm3'] as const;
const SHADOW_SPACE = 32n;

/** x64 with the Microsoft calling convention (learn.microsoft.com, "x64 calling convention"). */
export const x64: Architecture = {
  name: 'x64',
  system: 'x64',
  pointerSize: 8,
  addressBits: ADDRESS_BITS.x64,
  hasNoncanonical: true,
  programCounter: 'rip',
  stackPointer: 'rsp',
  threadRegister: 'gs.base',
  registers: [
    ...['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'],
    ...['r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15', 'rip', 'rflags'],
  ],
  stackAlignment: 16,
  returnAddressSize: 8,
  minimumInstructionLength: 1,
  maximumInstructionLength: 15,
  hasUnwindTables: true,
  distinguishesConventions: false,
  countsFloatsApart: false,
  returnAddress: 0xffff_ffff_ffff_f000n,
  breakpoint: Uint8Array.of(0xcc),
  engine: 'x86-64',
  registerFile: X86_REGISTERS,
  initialMode: { ring: 0, bits: 64 },
  encode: x64Encoder,
  branchTarget: (bytes, at) => x64Encoder.branchTarget(bytes, at),
  instructionLength: (bytes, at) => instructionLength('x64', bytes, at),

  prepareCall(processor, call) {
    const { addressSpace } = processor;
    const onStack = Math.max(0, call.arguments.length - INTEGER_ARGUMENTS.length);
    const top = call.stackTop - (call.stackTop % 16n);
    const arguments_ = top - SHADOW_SPACE - BigInt(Math.ceil(onStack / 2) * 16);
    call.arguments.forEach((argument, index) => {
      const { bits, isFloat } = argumentBits(argument);
      const register = (isFloat ? FLOAT_ARGUMENTS : INTEGER_ARGUMENTS)[index];
      if (register !== undefined) processor.set(register, bits);
      else addressSpace.writeU64(arguments_ + BigInt(index * 8), bits);
    });
    addressSpace.writeU64(arguments_ - 8n, x64.returnAddress);
    processor.sp = arguments_ - 8n;
    processor.pc = call.target;
  },

  stackArgument: (processor, index) =>
    index < INTEGER_ARGUMENTS.length ? undefined : stackArgument(processor, index),

  argument(processor, index) {
    const register = INTEGER_ARGUMENTS[index];
    return register === undefined
      ? processor.addressSpace.readU64(stackArgument(processor, index))
      : processor.get(register);
  },

  floatArgument(processor, index, size = 'double') {
    const register = FLOAT_ARGUMENTS[index];
    const bits =
      register === undefined
        ? processor.addressSpace.readU64(stackArgument(processor, index))
        : processor.get(register);
    return bitsToFloat(bits, size);
  },

  result: (processor) => processor.get('rax'),
  setResult: (processor, value) => processor.set('rax', value),
  floatResult: (processor, size = 'double') => bitsToFloat(processor.get('xmm0'), size),
  setFloatResult: (processor, value, size = 'double') => processor.set('xmm0', floatBits(value, size)),
  returnAddressAtEntry: (processor) => processor.addressSpace.readU64(processor.sp),

  returnFromCall(processor, { calleePops = 0 } = {}) {
    const target = processor.addressSpace.readU64(processor.sp);
    processor.sp += 8n + byteOffset(calleePops, 1);
    processor.pc = target;
  },
};

/** The four register arguments have homes in the shadow space right above the return address. */
const stackArgument = (processor: Processor, index: number): bigint =>
  processor.sp + 8n + byteOffset(index, 8);
