import { CpuError, hex } from '../error.js';

/** A general register of A64 in its 64-bit form: `x0` … `x30`. */
export type Arm64Register = `x${number}`;

/**
 * The few A64 instructions a trampoline is made of, four bytes each. `from` is the instruction's own address.
 * Encodings: Arm Architecture Reference Manual, section C4.1.
 */
export interface Arm64Encoder {
  /** `b to`. Throws CpuError `branchOutOfRange` outside -128 MB..+128 MB-4, `misaligned` off a 4-byte boundary. */
  branch(from: bigint, to: bigint): Uint8Array;
  /** `bl to`. Range as {@link branch}. */
  call(from: bigint, to: bigint): Uint8Array;
  /** `ldr register, slot` (literal): the 64-bit value at `slot`, at most 1 MB away. */
  loadLiteral(register: Arm64Register, from: bigint, slot: bigint): Uint8Array;
  /** `br register`. */
  branchRegister(register: Arm64Register): Uint8Array;
  /** `adrp register, page`: address of the 4 KB page that holds `target`, at most 4 GB away. */
  addressOfPage(register: Arm64Register, from: bigint, target: bigint): Uint8Array;
  /** `add register, source, #immediate`, immediate 0..4095. */
  addImmediate(register: Arm64Register, source: Arm64Register, immediate: number): Uint8Array;
  /** `brk #immediate`, 16 bits. Windows' `__debugbreak` is `brk #0xf000`. */
  breakpoint(immediate?: number): Uint8Array;
  nop(): Uint8Array;
  /** `length` bytes (a multiple of 4) of `brk #0xf000`. */
  fill(length: number): Uint8Array;
  decode(bytes: Uint8Array, at: bigint): Arm64Branch | undefined;
  /** Where `branch` or `call` at `at` goes; undefined for every other instruction. */
  branchTarget(bytes: Uint8Array, at: bigint): bigint | undefined;
}

export type Arm64Branch =
  | { readonly form: 'branch' | 'call'; readonly length: 4; readonly target: bigint }
  | {
      readonly form: 'loadLiteral';
      readonly length: 4;
      readonly register: Arm64Register;
      readonly slot: bigint;
    }
  | { readonly form: 'branchRegister'; readonly length: 4; readonly register: Arm64Register };

const B = 0x14000000;
const BL = 0x94000000;
const LDR_LITERAL_64 = 0x58000000;
const BR = 0xd61f0000;
const ADRP = 0x90000000;
const ADD_IMMEDIATE_64 = 0x91000000;
const BRK = 0xd4200000;
const NOP = 0xd503201f;

/** `__debugbreak` on Windows for Arm. */
export const ARM64_BREAKPOINT_IMMEDIATE = 0xf000;

const address64 = (address: bigint): bigint => BigInt.asUintN(64, address);

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value >>> 0, true);
  return bytes;
}

function registerNumber(register: Arm64Register): number {
  const number = /^x(\d{1,2})$/.test(register) ? Number(register.slice(1)) : 31;
  if (number > 30)
    throw new CpuError('unknownRegister', `${register} is not one of x0 to x30`, {
      status: 'STATUS_INVALID_PARAMETER',
    });
  return number;
}

/** The signed distance in units of 4 bytes, in `bits` bits. */
function distanceInWords(form: string, from: bigint, to: bigint, bits: number): number {
  if (((from | to) & 3n) !== 0n) {
    throw new CpuError(
      'misaligned',
      `${form} at ${hex(address64(from))} to ${hex(address64(to))}: both must be multiples of 4`,
      {
        address: address64(from),
        status: 'STATUS_INVALID_PARAMETER',
      },
    );
  }
  return inRange(form, from, to, BigInt.asIntN(64, to - from) >> 2n, bits, 4n);
}

function inRange(
  form: string,
  from: bigint,
  to: bigint,
  distance: bigint,
  bits: number,
  unit: bigint,
): number {
  if (distance !== BigInt.asIntN(bits, distance)) {
    const reach = unit << BigInt(bits - 1);
    throw new CpuError(
      'branchOutOfRange',
      `${form} at ${hex(address64(from))} cannot reach ${hex(address64(to))}: ${distance * unit} bytes is beyond ±${hex(reach)}`,
      { address: address64(from), status: 'STATUS_CONFLICTING_ADDRESSES' },
    );
  }
  return Number(BigInt.asUintN(bits, distance));
}

function unsigned(form: string, value: number, bits: number): number {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** bits) {
    throw new CpuError('immediateOutOfRange', `${form}: ${value} does not fit in ${bits} bits`, {
      status: 'STATUS_INVALID_PARAMETER',
    });
  }
  return value;
}

function breakpoint(immediate: number = ARM64_BREAKPOINT_IMMEDIATE): Uint8Array {
  return word(BRK | (unsigned('brk', immediate, 16) << 5));
}

function decode(bytes: Uint8Array, at: bigint): Arm64Branch | undefined {
  if (bytes.length < 4) return undefined;
  const value = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
  const top = (value & 0xfc000000) >>> 0;
  if (top === B || top === BL) {
    const target = address64(at + BigInt((value << 6) >> 4));
    return { form: top === B ? 'branch' : 'call', length: 4, target };
  }
  if ((value & 0xff000000) >>> 0 === LDR_LITERAL_64 && (value & 31) !== 31) {
    const slot = address64(at + BigInt(((value << 8) >> 13) * 4));
    return { form: 'loadLiteral', length: 4, register: `x${value & 31}`, slot };
  }
  const register = (value >>> 5) & 31;
  if ((value & 0xfffffc1f) >>> 0 === BR && register !== 31) {
    return { form: 'branchRegister', length: 4, register: `x${register}` };
  }
  return undefined;
}

export const arm64Encoder: Arm64Encoder = {
  branch: (from, to) => word(B | distanceInWords('b', from, to, 26)),
  call: (from, to) => word(BL | distanceInWords('bl', from, to, 26)),
  loadLiteral: (register, from, slot) =>
    word(
      LDR_LITERAL_64 | (distanceInWords(`ldr ${register}`, from, slot, 19) << 5) | registerNumber(register),
    ),
  branchRegister: (register) => word(BR | (registerNumber(register) << 5)),
  addressOfPage(register, from, target) {
    const pages = (BigInt.asIntN(64, target) >> 12n) - (BigInt.asIntN(64, from) >> 12n);
    const distance = inRange(`adrp ${register}`, from, target, BigInt.asIntN(52, pages), 21, 0x1000n);
    return word(ADRP | ((distance & 3) << 29) | ((distance >> 2) << 5) | registerNumber(register));
  },
  addImmediate: (register, source, immediate) =>
    word(
      ADD_IMMEDIATE_64 |
        (unsigned('add', immediate, 12) << 10) |
        (registerNumber(source) << 5) |
        registerNumber(register),
    ),
  breakpoint,
  nop: () => word(NOP),
  fill(length) {
    if (length % 4 !== 0) {
      throw new CpuError('misaligned', `fill: ${length} is not a multiple of 4`, {
        status: 'STATUS_INVALID_PARAMETER',
      });
    }
    const bytes = new Uint8Array(length);
    const one = breakpoint();
    for (let at = 0; at < length; at += 4) bytes.set(one, at);
    return bytes;
  },
  decode,
  branchTarget(bytes, at) {
    const branch = decode(bytes, at);
    return branch !== undefined && 'target' in branch ? branch.target : undefined;
  },
};
