import { x86Encoder } from '../encode/x86.js';
import { CpuError } from '../error.js';
import { instructionLength } from '../instruction.js';
import type { Processor } from '../processor.js';
import { X86_REGISTERS } from '../unicorn/registers.js';
import { ADDRESS_BITS } from './address-bits.js';
import { type Architecture, argumentBits, bitsToFloat, byteOffset } from './architecture.js';
import { extendedToNumber, numberToExtended } from './extended-float.js';

/**
 * x86 under WOW64: compatibility mode (CS 0x23) in user mode of a 64-bit processor, with the stack conventions of cdecl
 * and stdcall. Arguments are dwords, a double takes two; `index` counts dwords. Works on the processors of an x64 machine
 * that are in compatibility mode, too.
 */
export const x86: Architecture = {
  name: 'x86',
  system: 'x64',
  pointerSize: 4,
  addressBits: ADDRESS_BITS.x86,
  hasNoncanonical: false,
  programCounter: 'eip',
  stackPointer: 'esp',
  threadRegister: 'fs.base',
  registers: ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi', 'eip', 'eflags'],
  stackAlignment: 4,
  returnAddressSize: 4,
  minimumInstructionLength: 1,
  maximumInstructionLength: 15,
  hasUnwindTables: false,
  distinguishesConventions: true,
  countsFloatsApart: false,
  returnAddress: 0xffff_f000n,
  breakpoint: Uint8Array.of(0xcc),
  engine: 'x86-64',
  registerFile: X86_REGISTERS,
  initialMode: { ring: 3, bits: 32 },
  encode: x86Encoder,
  branchTarget: (bytes, at) => x86Encoder.branchTarget(bytes, at),
  instructionLength: (bytes, at) => instructionLength('x86', bytes, at),

  prepareCall(processor, call) {
    const dwords: number[] = [];
    for (const argument of call.arguments) {
      const { bits } = argumentBits(argument);
      dwords.push(Number(bits & 0xffff_ffffn));
      if (typeof argument === 'object' && 'double' in argument) dwords.push(Number(bits >> 32n));
    }
    const { addressSpace } = processor;
    const top = call.stackTop - (call.stackTop % 16n);
    const arguments_ = top - BigInt(Math.ceil(dwords.length / 4) * 16);
    for (const [index, dword] of dwords.entries()) {
      addressSpace.writeU32(arguments_ + BigInt(index * 4), dword);
    }
    addressSpace.writeU32(arguments_ - 4n, Number(x86.returnAddress));
    processor.set('esp', arguments_ - 4n);
    processor.set('eip', call.target);
  },

  stackArgument: (processor, index) => stackArgument(processor, index),
  argument: (processor, index) => BigInt(processor.addressSpace.readU32(stackArgument(processor, index))),

  floatArgument(processor, index, size = 'double') {
    const at = stackArgument(processor, index);
    const { addressSpace } = processor;
    return bitsToFloat(size === 'single' ? BigInt(addressSpace.readU32(at)) : addressSpace.readU64(at), size);
  },

  result: (processor) => processor.get('eax'),
  setResult: (processor, value) => processor.set('eax', value),

  floatResult(processor) {
    return extendedToNumber(processor.get(topOfStack(processor)));
  },

  setFloatResult(processor, value) {
    const status = processor.get('fpsw');
    const top = ((status >> 11n) - 1n) & 7n;
    processor.set('fpsw', (status & ~0x3800n) | (top << 11n));
    processor.set(`fp${top}`, numberToExtended(value));
  },

  returnAddressAtEntry: (processor) => BigInt(processor.addressSpace.readU32(processor.get('esp'))),

  returnFromCall(processor, { calleePops = 0 } = {}) {
    if (processor.bits !== 32) {
      throw new CpuError('notCompatibilityMode', 'a 32-bit return needs a processor in compatibility mode', {
        status: 'STATUS_INVALID_DEVICE_STATE',
      });
    }
    const sp = processor.get('esp');
    const target = processor.addressSpace.readU32(sp);
    processor.set('esp', sp + 4n + byteOffset(calleePops, 1));
    processor.set('eip', BigInt(target));
  },
};

const stackArgument = (processor: Processor, index: number): bigint =>
  processor.get('esp') + 4n + byteOffset(index, 4);

/** Physical x87 register that is ST(0). */
const topOfStack = (processor: Processor): string => `fp${(processor.get('fpsw') >> 11n) & 7n}`;
