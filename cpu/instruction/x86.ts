import { createRequire } from 'node:module';
import type { Decoder, Instruction } from 'iced-x86';
import { CpuError, hex } from '../error.js';
import type { DecodedInstruction, InstructionFacts, InstructionFlow } from '../instruction.js';

export type Iced = typeof import('iced-x86');

let loaded: Iced | undefined;

/** Loaded on first use, synchronously: it takes 50 ms that most commands do not need. */
export function iced(): Iced {
  loaded ??= createRequire(import.meta.url)('iced-x86') as Iced;
  return loaded;
}

const LONGEST_INSTRUCTION = 15;

/** Calls `use` with the first instruction of `bytes`; both objects are freed afterwards. */
export function withInstruction<T>(
  bits: 32 | 64,
  bytes: Uint8Array,
  at: bigint,
  use: (instruction: Instruction, decoder: Decoder) => T,
): T {
  const { Decoder, DecoderOptions } = iced();
  const decoder = new Decoder(bits, bytes.subarray(0, LONGEST_INSTRUCTION), DecoderOptions.None);
  try {
    decoder.ip = BigInt.asUintN(bits, at);
    const instruction = decoder.decode();
    try {
      return use(instruction, decoder);
    } finally {
      instruction.free();
    }
  } finally {
    decoder.free();
  }
}

export function x86Facts(bits: 32 | 64, bytes: Uint8Array, at: bigint): InstructionFacts {
  if (bytes.length === 0) return { length: 1, flow: 'invalid', serialising: false };
  return withInstruction(bits, bytes, at, factsOf);
}

function factsOf(instruction: Instruction): InstructionFacts {
  if (instruction.isInvalid) return { length: 1, flow: 'invalid', serialising: false };
  const target = branchTarget(instruction);
  const pcRelative =
    target !== undefined
      ? ({ kind: 'branch', target } as const)
      : instruction.isIpRelMemoryOperand
        ? ({ kind: 'memory', target: BigInt.asUintN(64, instruction.ipRelMemoryAddress) } as const)
        : undefined;
  return {
    length: instruction.length,
    flow: flowOf(instruction, target !== undefined),
    ...(target === undefined ? {} : { target }),
    ...(pcRelative === undefined ? {} : { pcRelative }),
    serialising: isSerialising(instruction),
  };
}

/** One instruction after the other, with one decoder for all of them. */
export function x86Instructions(bits: 32 | 64, bytes: Uint8Array, at: bigint): DecodedInstruction[] {
  const { Decoder, DecoderOptions, FlowControl, Instruction } = iced();
  const decoder = new Decoder(bits, bytes, DecoderOptions.None);
  const instruction = new Instruction();
  const found: DecodedInstruction[] = [];
  try {
    decoder.ip = BigInt.asUintN(bits, at);
    for (let offset = 0; offset < bytes.length; ) {
      decoder.decodeOut(instruction);
      const { flowControl } = instruction;
      if (flowControl === FlowControl.Next) {
        const { length } = instruction;
        if (instruction.isIpRelMemoryOperand) {
          const target = BigInt.asUintN(64, instruction.ipRelMemoryAddress);
          const field = fieldOf(decoder, instruction);
          found.push({ offset, length, flow: 'next', pcRelative: { kind: 'memory', target }, field });
        } else found.push({ offset, length, flow: 'next', field: undefined });
        offset += length;
        continue;
      }
      const facts = factsOf(instruction);
      const field = facts.pcRelative && fieldOf(decoder, instruction);
      found.push({ ...facts, offset, field });
      offset += facts.length;
      if (facts.flow !== 'invalid') continue;
      decoder.position = offset;
      decoder.ip = BigInt.asUintN(bits, at + BigInt(offset));
    }
    return found;
  } finally {
    instruction.free();
    decoder.free();
  }
}

/** Where the distance of its PC-relative operand stands in an instruction. */
function fieldOf(decoder: Decoder, instruction: Instruction): { offset: number; size: number } {
  const offsets = decoder.getConstantOffsets(instruction);
  const isBranch = branchTarget(instruction) !== undefined;
  const field = {
    offset: isBranch ? offsets.immediateOffset : offsets.displacementOffset,
    size: isBranch ? offsets.immediateSize : offsets.displacementSize,
  };
  offsets.free();
  return field;
}

export function retargetX86(bits: 32 | 64, bytes: Uint8Array, at: bigint, target: bigint): Uint8Array {
  return withInstruction(bits, bytes, at, (instruction, decoder) => {
    const isBranch = !instruction.isInvalid && branchTarget(instruction) !== undefined;
    if (!isBranch && (instruction.isInvalid || !instruction.isIpRelMemoryOperand)) {
      throw new CpuError('notPcRelative', `the instruction at ${hex(at)} has no PC-relative operand`, {
        address: at,
      });
    }
    const { offset, size } = fieldOf(decoder, instruction);
    const distance = BigInt.asIntN(bits, target - at - BigInt(instruction.length));
    if (BigInt.asIntN(size * 8, distance) !== distance) {
      throw new CpuError(
        'branchOutOfRange',
        `the instruction at ${hex(at)} cannot reach ${hex(target)}: displacement ${distance} does not fit in ${size * 8} bits`,
        { address: at, status: 'STATUS_CONFLICTING_ADDRESSES' },
      );
    }
    const result = bytes.slice(0, instruction.length);
    for (let index = 0; index < size; index++)
      result[offset + index] = Number((distance >> BigInt(index * 8)) & 0xffn);
    return result;
  });
}

/**
 * Intel SDM vol. 3, "Serializing Instructions", with those that the descriptions of vol. 2 add. `MOV` only to control and
 * debug registers. The decoder knows them too (`OpCodeInfo.isSerializingIntel`), but asking it for the first time takes
 * 30 ms: it makes its tables of all instructions.
 */
const SERIALISING =
  'Cpuid Invd Invept Invlpg Invpcid Invvpid Iret Iretd Iretq Lgdt Lidt Lldt Lmsw Ltr Rsm Serialize Wbinvd Wbnoinvd Wrmsr';
const SERIALISING_MOVES = 'Mov_cr_r32 Mov_cr_r64 Mov_dr_r32 Mov_dr_r64';

let serialising:
  | { readonly mnemonics: ReadonlySet<unknown>; readonly moves: ReadonlySet<unknown> }
  | undefined;

function isSerialising({ mnemonic, code }: Instruction): boolean {
  serialising ??= serialisingInstructions();
  return serialising.mnemonics.has(mnemonic) || serialising.moves.has(code);
}

function serialisingInstructions() {
  const { Mnemonic, Code } = iced();
  const named = (names: string, of: object) =>
    new Set(names.split(' ').map((name) => (of as Readonly<Record<string, unknown>>)[name]));
  return { mnemonics: named(SERIALISING, Mnemonic), moves: named(SERIALISING_MOVES, Code) };
}

function branchTarget(instruction: Instruction): bigint | undefined {
  const { OpKind } = iced();
  if (instruction.opCount === 0) return undefined;
  switch (instruction.opKind(0)) {
    case OpKind.NearBranch16:
    case OpKind.NearBranch32:
    case OpKind.NearBranch64:
      return BigInt.asUintN(64, instruction.nearBranchTarget);
    default:
      return undefined;
  }
}

function flowOf(instruction: Instruction, isDirect: boolean): InstructionFlow {
  const { FlowControl } = iced();
  switch (instruction.flowControl) {
    case FlowControl.UnconditionalBranch:
      return isDirect ? 'jump' : 'indirectJump';
    case FlowControl.IndirectBranch:
      return 'indirectJump';
    case FlowControl.ConditionalBranch:
    case FlowControl.XbeginXabortXend:
      return isDirect ? 'conditionalJump' : 'next';
    case FlowControl.Return:
      return 'return';
    case FlowControl.Call:
      if (isDirect) return 'call';
      return instruction.isCallFar ? 'indirectCall' : 'systemCall';
    case FlowControl.IndirectCall:
      return 'indirectCall';
    case FlowControl.Interrupt:
      return 'interrupt';
    case FlowControl.Exception:
      return 'undefined';
    default:
      return 'next';
  }
}
