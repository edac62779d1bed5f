import type { Decoder, Instruction } from 'iced-x86';
import type { ExitWithoutCount } from '../exceptions.js';
import { type Iced, iced } from '../instruction/x86.js';
import type { Processor } from '../processor.js';
import { deposit, extract, lowBits, rotateRight } from './bits.js';
import { cpuid } from './cpuid.js';
import type { Emulation, Emulator, Moment } from './emulation.js';
import { flagsOfSubtraction, isNegative, setFlags } from './flags.js';
import { compareStrings, indexOfMatch, maskOfMatches } from './string-compare.js';
import { type Operand, operandOf } from './x86-operands.js';

type Perform = (moment: Moment, size: number) => ExitWithoutCount | undefined;

interface Entry {
  /** Whether the engine gets this one wrong; default: always. */
  readonly when?: (instruction: Instruction, processor: Processor) => boolean;
  readonly make: (instruction: Instruction) => Omit<Emulation, 'length'>;
}

const LOW_32 = 0xffff_ffffn;

const exception = (
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

const simply = (perform: Perform): Entry => ({
  make: () => ({ perform: (moment) => perform(moment, 0) }),
});

/** Lab time in place of the host's clock. */
const readTimeStamp = (moment: Moment): undefined => {
  const { processor, time } = moment;
  processor.set('rax', time & LOW_32);
  processor.set('rdx', (time >> 32n) & LOW_32);
};

const randomNumber = (size: number): Entry => ({
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

const identify = (moment: Moment): undefined => {
  const { processor } = moment;
  const word = (name: string) => Number(processor.get(name) & LOW_32);
  const answer = cpuid(word('rax'), word('rcx'), processor.index, moment.processors);
  ['rax', 'rbx', 'rcx', 'rdx'].forEach((name, index) => {
    processor.set(name, BigInt(answer[index] ?? 0));
  });
};

/** `result = operation(first, second)` of general operands 1 and 2 into operand 0. */
const threeOperands = (
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

const bzhi = (size: number): Entry =>
  threeOperands(size, (source, index, processor) => {
    const count = index & 0xffn;
    const isAll = count >= BigInt(size);
    const result = isAll ? source : source & lowBits(count);
    setFlags(processor, { CF: isAll, OF: false, ZF: result === 0n, SF: isNegative(result, size) });
    return result;
  });

/** BLSI, BLSR, BLSMSK: operand 1 into operand 0. `carry`: of a source. */
const lowest = (
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

const rorx = (size: number): Entry => ({
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
const doubleShift = (size: number, direction: 'left' | 'right', byCl: boolean): Entry => ({
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
const compareExchange32: Entry = {
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
const bitScan32 = (find: (value: bigint) => number): Entry => ({
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
const lockedNegation = (size: number): Entry => ({
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

const bitFieldExtract = (size: number): Entry =>
  threeOperands(size, (source, control, processor) => {
    const result = (source >> (control & 0xffn)) & lowBits((control >> 8n) & 0xffn);
    setFlags(processor, { CF: false, OF: false, ZF: result === 0n });
    return result;
  });

/** PHADD and PHSUB of a register with itself: Unicorn reads what it has written. */
const horizontal = (width: number, operation: (first: bigint, second: bigint) => bigint): Entry => ({
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

const saturated = (value: bigint): bigint =>
  value > 0x7fffn ? 0x7fffn : value < -0x8000n ? -0x8000n : value;

const EQUAL_ORDERED = 3;

/**
 * Unicorn does not know the 64-bit lengths of PCMPESTRI and PCMPESTRM, reads far outside its registers when one is the
 * smallest number, and searches for a string in a string wrongly.
 */
const compareText = (result: 'index' | 'mask', lengthSize: 32 | 64 | undefined): Entry => ({
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
const inputOutput: Entry = {
  when: (_, processor) => processor.ring === 3,
  make: () => ({ perform: (moment) => exception(moment, 'generalProtection', 13) }),
};

const undefinedInstruction: Omit<Emulation, 'length'> = {
  perform: (moment) => exception(moment, 'invalidOpcode', 6),
};

function makeEntries({ Code }: Iced): ReadonlyMap<number, Entry> {
  const carryWhenZero = (source: bigint) => source === 0n;
  const carryUnlessZero = (source: bigint) => source !== 0n;
  const entries: [number, Entry][] = [
    [Code.Rdtsc, simply(readTimeStamp)],
    [
      Code.Rdtscp,
      simply((moment) => {
        readTimeStamp(moment);
        moment.processor.set('rcx', BigInt(moment.processor.index));
        return undefined;
      }),
    ],
    [Code.Cpuid, simply(identify)],
    [Code.Rdrand_r16, randomNumber(16)],
    [Code.Rdrand_r32, randomNumber(32)],
    [Code.Rdrand_r64, randomNumber(64)],
    [Code.Rdseed_r16, randomNumber(16)],
    [Code.Rdseed_r32, randomNumber(32)],
    [Code.Rdseed_r64, randomNumber(64)],
    [Code.VEX_Bzhi_r32_rm32_r32, bzhi(32)],
    [Code.VEX_Bzhi_r64_rm64_r64, bzhi(64)],
    [Code.VEX_Pdep_r32_r32_rm32, threeOperands(32, (source, mask) => deposit(source, mask, 32))],
    [Code.VEX_Pdep_r64_r64_rm64, threeOperands(64, (source, mask) => deposit(source, mask, 64))],
    [Code.VEX_Pext_r32_r32_rm32, threeOperands(32, (source, mask) => extract(source, mask, 32))],
    [Code.VEX_Pext_r64_r64_rm64, threeOperands(64, (source, mask) => extract(source, mask, 64))],
    [Code.VEX_Blsi_r32_rm32, lowest(32, (source) => source & -source, carryUnlessZero)],
    [Code.VEX_Blsi_r64_rm64, lowest(64, (source) => source & -source, carryUnlessZero)],
    [Code.VEX_Blsr_r32_rm32, lowest(32, (source) => source & (source - 1n), carryWhenZero)],
    [Code.VEX_Blsr_r64_rm64, lowest(64, (source) => source & (source - 1n), carryWhenZero)],
    [Code.VEX_Blsmsk_r32_rm32, lowest(32, (source) => source ^ (source - 1n), carryWhenZero)],
    [Code.VEX_Blsmsk_r64_rm64, lowest(64, (source) => source ^ (source - 1n), carryWhenZero)],
    [Code.VEX_Rorx_r32_rm32_imm8, rorx(32)],
    [Code.VEX_Rorx_r64_rm64_imm8, rorx(64)],
    [Code.Shld_rm16_r16_imm8, doubleShift(16, 'left', false)],
    [Code.Shld_rm32_r32_imm8, doubleShift(32, 'left', false)],
    [Code.Shld_rm64_r64_imm8, doubleShift(64, 'left', false)],
    [Code.Shld_rm16_r16_CL, doubleShift(16, 'left', true)],
    [Code.Shld_rm32_r32_CL, doubleShift(32, 'left', true)],
    [Code.Shld_rm64_r64_CL, doubleShift(64, 'left', true)],
    [Code.Shrd_rm16_r16_imm8, doubleShift(16, 'right', false)],
    [Code.Shrd_rm32_r32_imm8, doubleShift(32, 'right', false)],
    [Code.Shrd_rm64_r64_imm8, doubleShift(64, 'right', false)],
    [Code.Shrd_rm16_r16_CL, doubleShift(16, 'right', true)],
    [Code.Shrd_rm32_r32_CL, doubleShift(32, 'right', true)],
    [Code.Shrd_rm64_r64_CL, doubleShift(64, 'right', true)],
    [Code.Cmpxchg_rm32_r32, compareExchange32],
    [Code.Bsf_r32_rm32, bitScan32((value) => (value & -value).toString(2).length - 1)],
    [Code.Bsr_r32_rm32, bitScan32((value) => value.toString(2).length - 1)],
    [Code.Neg_rm8, lockedNegation(8)],
    [Code.Neg_rm16, lockedNegation(16)],
    [Code.Neg_rm32, lockedNegation(32)],
    [Code.Neg_rm64, lockedNegation(64)],
    [Code.VEX_Bextr_r32_rm32_r32, bitFieldExtract(32)],
    [Code.VEX_Bextr_r64_rm64_r64, bitFieldExtract(64)],
    [Code.Phaddw_xmm_xmmm128, horizontal(16, (first, second) => first + second)],
    [Code.Phaddw_mm_mmm64, horizontal(16, (first, second) => first + second)],
    [Code.Phaddd_xmm_xmmm128, horizontal(32, (first, second) => first + second)],
    [Code.Phaddd_mm_mmm64, horizontal(32, (first, second) => first + second)],
    [Code.Phaddsw_xmm_xmmm128, horizontal(16, (first, second) => saturated(first + second))],
    [Code.Phaddsw_mm_mmm64, horizontal(16, (first, second) => saturated(first + second))],
    [Code.Phsubw_xmm_xmmm128, horizontal(16, (first, second) => first - second)],
    [Code.Phsubw_mm_mmm64, horizontal(16, (first, second) => first - second)],
    [Code.Phsubd_xmm_xmmm128, horizontal(32, (first, second) => first - second)],
    [Code.Phsubd_mm_mmm64, horizontal(32, (first, second) => first - second)],
    [Code.Phsubsw_xmm_xmmm128, horizontal(16, (first, second) => saturated(first - second))],
    [Code.Phsubsw_mm_mmm64, horizontal(16, (first, second) => saturated(first - second))],
    [Code.Pcmpestri_xmm_xmmm128_imm8, compareText('index', 32)],
    [Code.Pcmpestri64_xmm_xmmm128_imm8, compareText('index', 64)],
    [Code.Pcmpestrm_xmm_xmmm128_imm8, compareText('mask', 32)],
    [Code.Pcmpestrm64_xmm_xmmm128_imm8, compareText('mask', 64)],
    [Code.Pcmpistri_xmm_xmmm128_imm8, compareText('index', undefined)],
    [Code.Pcmpistrm_xmm_xmmm128_imm8, compareText('mask', undefined)],
  ];
  for (const [name, code] of Object.entries(Code)) {
    if (/^(In|Ins[bwd]|Out|Outs[bwd])_/.test(name) && typeof code === 'number')
      entries.push([code, inputOutput]);
  }
  return new Map(entries);
}

let known: ReadonlyMap<number, Entry> | undefined;

/** VEX instructions on general registers: BMI1 and BMI2, which the engine has. */
const isGeneralVex = (name: string): boolean =>
  /^VEX_(Andn|Bextr|Blsi|Blsmsk|Blsr|Bzhi|Mulx|Pdep|Pext|Rorx|Sarx|Shlx|Shrx)_/.test(name);

let generalVex: ReadonlySet<number> | undefined;

/**
 * AVX and everything above: CPUID does not announce it, and the engine executes part of it as the SSE instruction of the
 * same opcode.
 */
function isAbsent(instruction: Instruction): boolean {
  const { Code, EncodingKind } = iced();
  if (instruction.encoding === EncodingKind.Legacy) return false;
  generalVex ??= new Set(
    Object.entries(Code).flatMap(([name, code]) =>
      typeof code === 'number' && isGeneralVex(name) ? [code] : [],
    ),
  );
  return !generalVex.has(instruction.code);
}

function entryOf(instruction: Instruction, processor: Processor): Entry | undefined {
  known ??= makeEntries(iced());
  const entry = known.get(instruction.code);
  if (entry === undefined) return isAbsent(instruction) ? ABSENT : undefined;
  return entry.when === undefined || entry.when(instruction, processor) ? entry : undefined;
}

const ABSENT: Entry = { make: () => undefinedInstruction };

/** Bytes that follow 0F in the instructions above, and in those of iced's tables that are encoded as VEX. */
const SUSPECT_BEHIND_0F: ReadonlySet<number> = new Set([
  0x01, 0x31, 0xa2, 0xa4, 0xa5, 0xac, 0xad, 0xb1, 0xbc, 0xbd, 0xc7, 0x0f, 0x38, 0x3a,
]);
const IS_SUSPECT = new Uint8Array(256);
for (const byte of [0x62, 0x8f, 0xc4, 0xc5, 0x0f, 0xf0]) IS_SUSPECT[byte] = 1;
for (const byte of [0x6c, 0x6d, 0x6e, 0x6f, 0xe4, 0xe5, 0xe6, 0xe7, 0xec, 0xed, 0xee, 0xef])
  IS_SUSPECT[byte] = 1;

function isSuspect(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.byteLength; at++) {
    const byte = bytes[at] ?? 0;
    if (IS_SUSPECT[byte] === 0) continue;
    const next = bytes[at + 1] ?? 0;
    if (byte === 0x0f ? SUSPECT_BEHIND_0F.has(next) : byte !== 0xc4 || isMap(next)) return true;
  }
  return false;
}

/** Opcode maps of VEX. */
const isMap = (byte: number): boolean => [1, 2, 3].includes(byte & 0x1f);

function withDecoder<T>(
  processor: Processor,
  bytes: Uint8Array,
  address: bigint,
  use: (decoder: Decoder, instruction: Instruction) => T,
): T {
  const { Decoder, DecoderOptions, Instruction } = iced();
  const { bits } = processor;
  const decoder = new Decoder(bits, bytes, DecoderOptions.None);
  const instruction = new Instruction();
  try {
    decoder.ip = BigInt.asUintN(bits, address);
    return use(decoder, instruction);
  } finally {
    instruction.free();
    decoder.free();
  }
}

export const x86Emulator: Emulator = {
  isSuspect,
  find: (processor, bytes, address) =>
    withDecoder(processor, bytes, address, (decoder, instruction) => {
      const offsets: number[] = [];
      while (decoder.canDecode) {
        const at = decoder.position;
        decoder.decodeOut(instruction);
        if (instruction.isInvalid) break;
        if (entryOf(instruction, processor) !== undefined) offsets.push(at);
      }
      return offsets;
    }),
  of: (processor, bytes, address) =>
    withDecoder(processor, bytes, address, (decoder, instruction) => {
      decoder.decodeOut(instruction);
      if (instruction.isInvalid) return undefined;
      const entry = entryOf(instruction, processor);
      return entry === undefined ? undefined : { length: instruction.length, ...entry.make(instruction) };
    }),
};
