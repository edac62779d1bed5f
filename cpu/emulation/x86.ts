import type { Decoder, Instruction } from 'iced-x86';
import { type Iced, iced } from '../instruction/x86.js';
import type { Processor } from '../processor.js';
import { deposit, extract } from './bits.js';
import type { Emulation, Emulator } from './emulation.js';
import {
  bitFieldExtract,
  bitScan32,
  bzhi,
  compareExchange32,
  compareText,
  compareToFlags,
  doubleShift,
  type Entry,
  exception,
  horizontal,
  identify,
  inputOutput,
  lockedNegation,
  lowest,
  randomNumber,
  readTimeStamp,
  rorx,
  saturated,
  simply,
  threeOperands,
} from './x86-instructions.js';

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
    [Code.Fcomi_st0_sti, compareToFlags],
    [Code.Fcomip_st0_sti, compareToFlags],
    [Code.Fucomi_st0_sti, compareToFlags],
    [Code.Fucomip_st0_sti, compareToFlags],
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

/** Opcode maps of VEX. */
const isMap = (byte: number): boolean => [1, 2, 3].includes(byte & 0x1f);
/** FCOMI, FUCOMI, and those that pop. */
const isComparison = (byte: number): boolean => byte >= 0xe8 && byte <= 0xf7;

/** What the byte behind a suspect one must be, where not every one is suspect. */
const SUSPECT_BEHIND: Readonly<Partial<Record<number, (byte: number) => boolean>>> = {
  15: (byte) => SUSPECT_BEHIND_0F.has(byte),
  196: isMap,
  219: isComparison,
  223: isComparison,
};

const IS_SUSPECT = new Uint8Array(256);
for (const byte of [0x62, 0x8f, 0xc4, 0xc5, 0x0f, 0xf0, 0xdb, 0xdf]) IS_SUSPECT[byte] = 1;
for (const byte of [0x6c, 0x6d, 0x6e, 0x6f, 0xe4, 0xe5, 0xe6, 0xe7, 0xec, 0xed, 0xee, 0xef])
  IS_SUSPECT[byte] = 1;

function isSuspect(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.byteLength; at++) {
    const byte = bytes[at] ?? 0;
    if (IS_SUSPECT[byte] === 0) continue;
    const next = bytes[at + 1] ?? 0;
    if (SUSPECT_BEHIND[byte]?.(next) ?? true) return true;
  }
  return false;
}

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

/**
 * Whether the bytes are those of no instruction, such as a LOCK prefix before one that does not take it (Intel SDM vol. 2,
 * "LOCK": #UD), or a VEX prefix before an opcode that has no such form: the engine executes it as if the prefix were not there.
 */
function isUndefined(decoder: Decoder): boolean {
  return decoder.lastError === iced().DecoderError.InvalidInstruction;
}

export const x86Emulator: Emulator = {
  isSuspect,
  find: (processor, bytes, address) =>
    withDecoder(processor, bytes, address, (decoder, instruction) => {
      const offsets: number[] = [];
      while (decoder.canDecode) {
        const at = decoder.position;
        decoder.decodeOut(instruction);
        if (instruction.isInvalid) {
          if (isUndefined(decoder)) offsets.push(at);
          break;
        }
        if (entryOf(instruction, processor) !== undefined) offsets.push(at);
      }
      return offsets;
    }),
  of: (processor, bytes, address) =>
    withDecoder(processor, bytes, address, (decoder, instruction) => {
      decoder.decodeOut(instruction);
      if (instruction.isInvalid)
        return isUndefined(decoder) ? { length: instruction.length, ...undefinedInstruction } : undefined;
      const entry = entryOf(instruction, processor);
      return entry === undefined ? undefined : { length: instruction.length, ...entry.make(instruction) };
    }),
};
