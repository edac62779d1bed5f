import type { Instruction } from 'iced-x86';
import type { ExitWithoutCount } from '../exceptions.js';
import { iced } from '../instruction/x86.js';
import type { Processor } from '../processor.js';
import { lowBits, rotateRight } from './bits.js';
import { cpuid } from './cpuid.js';
import type { Emulation, Moment } from './emulation.js';
import { FLAG, flagsOfSubtraction, isNegative, setFlags } from './flags.js';
import { compareStrings, indexOfMatch, maskOfMatches } from './string-compare.js';
import { type Operand, operandOf } from './x86-operands.js';

type Perform = (moment: Moment, size: number) => ExitWithoutCount | undefined;

export interface Entry {
  /** Whether the engine gets this one wrong; default: always. */
  readonly when?: (instruction: Instruction, processor: Processor) => boolean;
  readonly make: (instruction: Instruction) => Omit<Emulation, 'length'>;
}

const LOW_32 = 0xffff_ffffn;

export const exception = (
  moment: Moment,
  name: 'invalidOpcode' | 'generalProtection',
  vector: number,
): ExitWithoutCount => ({
  reason: 'exception',
  name,
  vector,
  instruction: moment.processor.pc,
  ...(name === 'generalProtection' ? { privileged: true } : {}),
});

export const simply = (perform: Perform): Entry => ({
  make: () => ({ perform: (moment) => perform(moment, 0) }),
});

const { AF, SF, OF } = FLAG;
const CLEARED = AF | SF | OF;

/** FCOMI and its like clear OF, SF and AF (Intel SDM vol. 2); the engine leaves them as they were. */
export const compareToFlags: Entry = {
  make: () => ({
    isRightNow: (processor) => (processor.get('rflags') & CLEARED) === 0n,
    makeRight: (processor) => processor.set('rflags', processor.get('rflags') & ~CLEARED),
    perform: () => undefined,
  }),
};

/** Lab time in place of the host's clock. */
export const readTimeStamp = (moment: Moment): undefined => {
  const { processor, time } = moment;
  processor.set('rax', time & LOW_32);
  processor.set('rdx', (time >> 32n) & LOW_32);
};

export const randomNumber = (size: number): Entry => ({
  make(instruction) {
    const target = operandOf(instruction, 0, size);
    return {
      perform(moment) {
        target.write(moment, moment.random());
        setFlags(moment.processor, { CF: true, PF: false, AF: false, ZF: false, SF: false, OF: false });
        return undefined;
      },
    };
  },
});

export const identify = (moment: Moment): undefined => {
  const { processor } = moment;
  const word = (name: string) => Number(processor.get(name) & LOW_32);
  const answer = cpuid(word('rax'), word('rcx'), processor.index, moment.processors);
  ['rax', 'rbx', 'rcx', 'rdx'].forEach((name, index) => {
    processor.set(name, BigInt(answer[index] ?? 0));
  });
};

/** `result = operation(first, second)` of general operands 1 and 2 into operand 0. */
export const threeOperands = (
  size: number,
  operation: (first: bigint, second: bigint, processor: Processor) => bigint,
): Entry => ({
  make(instruction) {
    const [target, first, second] = [0, 1, 2].map((index) => operandOf(instruction, index, size));
    return {
      perform(moment) {
        if (first === undefined || second === undefined) return undefined;
        target?.write(moment, operation(first.read(moment), second.read(moment), moment.processor));
        return undefined;
      },
    };
  },
});

export const bzhi = (size: number): Entry =>
  threeOperands(size, (source, index, processor) => {
    const count = index & 0xffn;
    const isAll = count >= BigInt(size);
    const result = isAll ? source : source & lowBits(count);
    setFlags(processor, { CF: isAll, OF: false, ZF: result === 0n, SF: isNegative(result, size) });
    return result;
  });

/** BLSI, BLSR, BLSMSK: operand 1 into operand 0. `carry`: of a source. */
export const lowest = (
  size: number,
  operation: (source: bigint) => bigint,
  carry: (source: bigint) => boolean,
): Entry => ({
  make(instruction) {
    const [target, source] = [0, 1].map((index) => operandOf(instruction, index, size));
    return {
      perform(moment) {
        const value = source?.read(moment) ?? 0n;
        const result = BigInt.asUintN(size, operation(value));
        target?.write(moment, result);
        setFlags(moment.processor, {
          CF: carry(value),
          OF: false,
          ZF: result === 0n,
          SF: isNegative(result, size),
        });
        return undefined;
      },
    };
  },
});

export const rorx = (size: number): Entry => ({
  when: (instruction) => instruction.isIpRelMemoryOperand,
  make(instruction) {
    const count = BigInt(instruction.immediate8);
    const [target, source] = [0, 1].map((index) => operandOf(instruction, index, size));
    return {
      perform(moment) {
        target?.write(moment, rotateRight(source?.read(moment) ?? 0n, count, size));
        return undefined;
      },
    };
  },
});

/** SHLD and SHRD (Intel SDM vol. 2): operand 0 shifted, filled from operand 1. */
export const doubleShift = (size: number, direction: 'left' | 'right', byCl: boolean): Entry => ({
  when: (instruction) => instruction.isIpRelMemoryOperand,
  make(instruction) {
    const immediate = byCl ? 0n : BigInt(instruction.immediate8);
    const [target, filler] = [0, 1].map((index) => operandOf(instruction, index, size));
    return {
      perform(moment) {
        if (target === undefined || filler === undefined) return undefined;
        const { processor } = moment;
        const mask = size === 64 ? 63n : 31n;
        const count = (byCl ? processor.get('rcx') : immediate) & mask;
        shiftDouble(moment, target, filler.read(moment), count, direction);
        return undefined;
      },
    };
  },
});

function shiftDouble(
  moment: Moment,
  target: Operand,
  filler: bigint,
  count: bigint,
  direction: 'left' | 'right',
): void {
  const { size } = target;
  const width = BigInt(size);
  const before = target.readForWrite(moment);
  if (count === 0n) return;
  // Counts above 16 of a 16-bit shift are undefined; processors rotate through both operands and the first again.
  const wide = (before << (2n * width)) | (filler << width) | before;
  const result =
    direction === 'left'
      ? BigInt.asUintN(size, wide >> (2n * width - count))
      : BigInt.asUintN(size, wide >> count);
  const last = direction === 'left' ? (wide >> (3n * width - count)) & 1n : (wide >> (count - 1n)) & 1n;
  target.write(moment, result);
  const { CF, PF, ZF, SF } = { ...flagsOfSubtraction(result, 0n, size), CF: last === 1n };
  const isTurned = isNegative(result ^ before, size);
  setFlags(moment.processor, { CF, PF, ZF, SF, ...(count === 1n ? { OF: isTurned } : {}) });
}

/**
 * CMPXCHG writes the accumulator when the values differ and the destination when they are equal, and nothing else; a
 * 32-bit register that is not written keeps its upper half (Intel SDM vol. 2; measured on a processor).
 */
export const compareExchange32: Entry = {
  make(instruction) {
    const [target, source] = [0, 1].map((index) => operandOf(instruction, index, 32));
    const isMemory = instruction.op0Kind === iced().OpKind.Memory;
    return {
      isRightNow: (processor) => isMemory && processor.get('rax') >> 32n === 0n,
      perform(moment) {
        if (target === undefined || source === undefined) return undefined;
        const { processor } = moment;
        const expected = processor.get('rax') & LOW_32;
        const value = target.readForWrite(moment);
        const flags = flagsOfSubtraction(expected, value, 32);
        if (flags.ZF) target.write(moment, source.read(moment));
        else if (isMemory) target.write(moment, value);
        if (!flags.ZF) processor.set('rax', value);
        setFlags(processor, flags);
        return undefined;
      },
    };
  },
};

/** BSF and BSR leave the whole destination as it is when the source is 0 (measured on a processor). */
export const bitScan32 = (find: (value: bigint) => number): Entry => ({
  make(instruction) {
    const [target, source] = [0, 1].map((index) => operandOf(instruction, index, 32));
    return {
      perform(moment) {
        const value = source?.read(moment) ?? 0n;
        if (value !== 0n) target?.write(moment, BigInt(find(value)));
        setFlags(moment.processor, { ZF: value === 0n });
        return undefined;
      },
    };
  },
});

/** LOCK NEG: Unicorn sets the flags of another operation. */
export const lockedNegation = (size: number): Entry => ({
  when: (instruction) => instruction.hasLockPrefix,
  make(instruction) {
    const target = operandOf(instruction, 0, size);
    return {
      perform(moment) {
        const value = target.readForWrite(moment);
        target.write(moment, -value);
        setFlags(moment.processor, flagsOfSubtraction(0n, value, size));
        return undefined;
      },
    };
  },
});

export const bitFieldExtract = (size: number): Entry =>
  threeOperands(size, (source, control, processor) => {
    const result = (source >> (control & 0xffn)) & lowBits((control >> 8n) & 0xffn);
    setFlags(processor, { CF: false, OF: false, ZF: result === 0n });
    return result;
  });

/** PHADD and PHSUB of a register with itself: Unicorn reads what it has written. */
export const horizontal = (width: number, operation: (first: bigint, second: bigint) => bigint): Entry => ({
  when: ({ op0Kind, op1Kind, op0Register, op1Register }) =>
    op0Kind === iced().OpKind.Register && op1Kind === op0Kind && op0Register === op1Register,
  make(instruction) {
    const name = iced().Register[instruction.op0Register] ?? '';
    const isMmx = name.startsWith('MM');
    const register = isMmx ? `fp${name.slice(2)}` : name.toLowerCase();
    const size = isMmx ? 64 : 128;
    return {
      perform({ processor }) {
        const value = BigInt.asUintN(size, processor.get(register));
        const part = (index: number) => BigInt.asIntN(width, value >> BigInt(index * width));
        let half = 0n;
        const pairs = size / width / 2;
        for (let pair = 0; pair < pairs; pair++) {
          const sum = operation(part(2 * pair), part(2 * pair + 1));
          half |= BigInt.asUintN(width, sum) << BigInt(pair * width);
        }
        const result = half | (half << BigInt(size / 2));
        processor.set(register, isMmx ? (0xffffn << 64n) | result : result);
        return undefined;
      },
    };
  },
});

export const saturated = (value: bigint): bigint =>
  value > 0x7fffn ? 0x7fffn : value < -0x8000n ? -0x8000n : value;

const EQUAL_ORDERED = 3;

/**
 * Unicorn does not know the 64-bit lengths of PCMPESTRI and PCMPESTRM, reads far outside its registers when one is the
 * smallest number, and searches for a string in a string wrongly.
 */
export const compareText = (result: 'index' | 'mask', lengthSize: 32 | 64 | undefined): Entry => ({
  when: ({ immediate8 }) => lengthSize !== undefined || ((immediate8 >> 2) & 3) === EQUAL_ORDERED,
  make(instruction) {
    const { Register, OpKind } = iced();
    const control = instruction.immediate8;
    const vector = (register: number) => (Register[register] ?? '').toLowerCase();
    const first = vector(instruction.op0Register);
    const isMemory = instruction.op1Kind === OpKind.Memory;
    const second = isMemory ? operandOf(instruction, 1, 128) : undefined;
    const secondName = isMemory ? '' : vector(instruction.op1Register);
    const length = (value: bigint): number => {
      const number = BigInt.asIntN(lengthSize ?? 32, value);
      const absolute = number < 0n ? -number : number;
      return absolute > 16n ? 16 : Number(absolute);
    };
    return {
      perform(moment) {
        const { processor } = moment;
        const compared = compareStrings(
          processor.get(first),
          second?.read(moment) ?? processor.get(secondName),
          control,
          lengthSize && [length(processor.get('rax')), length(processor.get('rdx'))],
        );
        if (result === 'index') processor.set('rcx', BigInt(indexOfMatch(compared, control)));
        else processor.set('xmm0', maskOfMatches(compared, control));
        const { matches, endsFirst, endsSecond } = compared;
        const zero = { AF: false, PF: false };
        setFlags(processor, {
          ...zero,
          CF: matches !== 0,
          ZF: endsSecond,
          SF: endsFirst,
          OF: (matches & 1) !== 0,
        });
        return undefined;
      },
    };
  },
});

/** IN, OUT and their like: not for user mode. */
export const inputOutput: Entry = {
  when: (_, processor) => processor.ring === 3,
  make: () => ({ perform: (moment) => exception(moment, 'generalProtection', 13) }),
};
