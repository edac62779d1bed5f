import { CpuError, hex } from '../error.js';
import type { InstructionFacts, InstructionFlow, PcRelativeOperand } from '../instruction.js';

/** A PC-relative form of A64: `bits` of signed distance in `unit` bytes at bit `shift` (ADR, ADRP: split, see below). */
interface PcRelativeForm {
  readonly name: string;
  readonly mask: number;
  readonly value: number;
  readonly kind: PcRelativeOperand['kind'];
  readonly flow: InstructionFlow;
  readonly bits: number;
  readonly shift: number;
  readonly unit: bigint;
}

// Arm Architecture Reference Manual, C4.1: "Branches", "PC-rel. addressing", "Load register (literal)".
const FORMS: readonly PcRelativeForm[] = [
  {
    name: 'b',
    mask: 0xfc000000,
    value: 0x14000000,
    kind: 'branch',
    flow: 'jump',
    bits: 26,
    shift: 0,
    unit: 4n,
  },
  {
    name: 'bl',
    mask: 0xfc000000,
    value: 0x94000000,
    kind: 'branch',
    flow: 'call',
    bits: 26,
    shift: 0,
    unit: 4n,
  },
  {
    name: 'b.cond',
    mask: 0xff000000,
    value: 0x54000000,
    kind: 'branch',
    flow: 'conditionalJump',
    bits: 19,
    shift: 5,
    unit: 4n,
  },
  {
    name: 'cbz',
    mask: 0x7e000000,
    value: 0x34000000,
    kind: 'branch',
    flow: 'conditionalJump',
    bits: 19,
    shift: 5,
    unit: 4n,
  },
  {
    name: 'tbz',
    mask: 0x7e000000,
    value: 0x36000000,
    kind: 'branch',
    flow: 'conditionalJump',
    bits: 14,
    shift: 5,
    unit: 4n,
  },
  {
    name: 'adr',
    mask: 0x9f000000,
    value: 0x10000000,
    kind: 'address',
    flow: 'next',
    bits: 21,
    shift: 5,
    unit: 1n,
  },
  {
    name: 'adrp',
    mask: 0x9f000000,
    value: 0x90000000,
    kind: 'page',
    flow: 'next',
    bits: 21,
    shift: 5,
    unit: 0x1000n,
  },
  {
    name: 'ldr (literal)',
    mask: 0xbf000000,
    value: 0x18000000,
    kind: 'literal',
    flow: 'next',
    bits: 19,
    shift: 5,
    unit: 4n,
  },
  {
    name: 'ldrsw (literal)',
    mask: 0xff000000,
    value: 0x98000000,
    kind: 'literal',
    flow: 'next',
    bits: 19,
    shift: 5,
    unit: 4n,
  },
  {
    name: 'prfm (literal)',
    mask: 0xff000000,
    value: 0xd8000000,
    kind: 'literal',
    flow: 'next',
    bits: 19,
    shift: 5,
    unit: 4n,
  },
  {
    name: 'ldr (literal, SIMD)',
    mask: 0xbf000000,
    value: 0x1c000000,
    kind: 'literal',
    flow: 'next',
    bits: 19,
    shift: 5,
    unit: 4n,
  },
  {
    name: 'ldr (literal, 128 bits)',
    mask: 0xff000000,
    value: 0x9c000000,
    kind: 'literal',
    flow: 'next',
    bits: 19,
    shift: 5,
    unit: 4n,
  },
];

// C4.1: "Unconditional branch (register)", "Exception generation"; FEAT_PAuth's forms with their keys A and B together.
const FLOWS: readonly { readonly mask: number; readonly value: number; readonly flow: InstructionFlow }[] = [
  { mask: 0xfffffc1f, value: 0xd61f0000, flow: 'indirectJump' }, // br
  { mask: 0xfffff81f, value: 0xd61f081f, flow: 'indirectJump' }, // braaz, brabz
  { mask: 0xfffff800, value: 0xd71f0800, flow: 'indirectJump' }, // braa, brab
  { mask: 0xfffffc1f, value: 0xd63f0000, flow: 'indirectCall' }, // blr
  { mask: 0xfffff81f, value: 0xd63f081f, flow: 'indirectCall' }, // blraaz, blrabz
  { mask: 0xfffff800, value: 0xd73f0800, flow: 'indirectCall' }, // blraa, blrab
  { mask: 0xfffffc1f, value: 0xd65f0000, flow: 'return' }, // ret
  { mask: 0xfffffbff, value: 0xd65f0bff, flow: 'return' }, // retaa, retab
  { mask: 0xffffffff, value: 0xd69f03e0, flow: 'return' }, // eret
  { mask: 0xfffffbff, value: 0xd69f0bff, flow: 'return' }, // eretaa, eretab
  { mask: 0xffe0001f, value: 0xd4000001, flow: 'systemCall' }, // svc
  { mask: 0xffe0001f, value: 0xd4000002, flow: 'systemCall' }, // hvc
  { mask: 0xffe0001f, value: 0xd4000003, flow: 'systemCall' }, // smc
  { mask: 0xffe0001f, value: 0xd4200000, flow: 'interrupt' }, // brk
  { mask: 0xffe0001f, value: 0xd4400000, flow: 'interrupt' }, // hlt
  { mask: 0xffff0000, value: 0x00000000, flow: 'undefined' }, // udf
];

const SERIALISING: readonly { readonly mask: number; readonly value: number }[] = [
  { mask: 0xfffff0ff, value: 0xd50330df }, // isb
  { mask: 0xffffffff, value: 0xd69f03e0 }, // eret
  { mask: 0xfffffbff, value: 0xd69f0bff }, // eretaa, eretab
];

const matches = (word: number, { mask, value }: { mask: number; value: number }): boolean =>
  (word & mask) >>> 0 === value;

/** Of every other instruction only length and flow `next` are claimed: they are not decoded further. */
export function arm64Facts(bytes: Uint8Array, at: bigint): InstructionFacts {
  if (bytes.length < 4) return { length: 4, flow: 'invalid', serialising: false };
  const word = wordOf(bytes);
  const form = FORMS.find((candidate) => matches(word, candidate));
  if (form !== undefined) {
    const target = targetOf(form, word, at);
    return {
      length: 4,
      flow: form.flow,
      ...(form.kind === 'branch' ? { target } : {}),
      pcRelative: { kind: form.kind, target },
      serialising: false,
    };
  }
  return {
    length: 4,
    flow: FLOWS.find((candidate) => matches(word, candidate))?.flow ?? 'next',
    serialising: SERIALISING.some((candidate) => matches(word, candidate)),
  };
}

export function retargetArm64(bytes: Uint8Array, at: bigint, target: bigint): Uint8Array {
  const word = bytes.length < 4 ? 0 : wordOf(bytes);
  const form = FORMS.find((candidate) => matches(word, candidate));
  if (form === undefined) {
    throw new CpuError('notPcRelative', `the instruction ${hex(word)} has no PC-relative operand`, {
      address: at,
    });
  }
  const distance = BigInt.asIntN(64, target - base(form, at));
  const steps = form.kind === 'page' ? distance >> 12n : distance / form.unit;
  if (form.kind !== 'page' && steps * form.unit !== distance) {
    throw new CpuError(
      'misaligned',
      `${form.name} at ${hex(at)} cannot mean ${hex(target)}: the distance is no multiple of ${form.unit}`,
      {
        address: at,
        status: 'STATUS_INVALID_PARAMETER',
      },
    );
  }
  if (BigInt.asIntN(form.bits, steps) !== steps) {
    const reach = hex(form.unit << BigInt(form.bits - 1));
    throw new CpuError(
      'branchOutOfRange',
      `${form.name} at ${hex(at)} cannot reach ${hex(target)}: ${distance} bytes is beyond ±${reach}`,
      {
        address: at,
        status: 'STATUS_CONFLICTING_ADDRESSES',
      },
    );
  }
  const field = Number(BigInt.asUintN(form.bits, steps));
  const result = new Uint8Array(4);
  new DataView(result.buffer).setUint32(0, (clear(form, word) | place(form, field)) >>> 0, true);
  return result;
}

// ADR and ADRP keep the two low bits of the distance in bits 30:29 (immlo) and the rest in 23:5 (immhi).
const isSplit = ({ bits }: PcRelativeForm): boolean => bits === 21;

function place(form: PcRelativeForm, field: number): number {
  return isSplit(form) ? ((field & 3) << 29) | ((field >> 2) << 5) : field << form.shift;
}

function clear(form: PcRelativeForm, word: number): number {
  return word & ~place(form, 2 ** form.bits - 1);
}

function targetOf(form: PcRelativeForm, word: number, at: bigint): bigint {
  const field = isSplit(form)
    ? ((word >>> 29) & 3) | (((word >>> 5) & 0x7ffff) << 2)
    : (word >>> form.shift) & (2 ** form.bits - 1);
  return BigInt.asUintN(64, base(form, at) + BigInt.asIntN(form.bits, BigInt(field)) * form.unit);
}

const base = ({ kind }: PcRelativeForm, at: bigint): bigint => (kind === 'page' ? at & ~0xfffn : at);

const wordOf = (bytes: Uint8Array): number =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true);
