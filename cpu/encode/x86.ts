import { CpuError, hex } from '../error.js';

/**
 * The few x86 and x64 instructions a trampoline is made of. All addresses are the instruction's own address (`from`)
 * and the address it goes to; both are taken modulo the address width. Intel SDM vol. 2, JMP, CALL, INT 3.
 */
export interface X86Encoder {
  /** `EB rel8`, 2 bytes. Throws CpuError `branchOutOfRange` outside -126..+129. */
  shortJump(from: bigint, to: bigint): Uint8Array;
  /** `E9 rel32`, 5 bytes. x64: throws CpuError `branchOutOfRange` outside ±2 GB. x86: reaches everything. */
  nearJump(from: bigint, to: bigint): Uint8Array;
  /** `E8 rel32`, 5 bytes. Range as {@link nearJump}. */
  call(from: bigint, to: bigint): Uint8Array;
  /**
   * `FF 25 disp32`, 6 bytes: jump to the address stored at `slot`. x64: RIP-relative, throws `branchOutOfRange`
   * outside ±2 GB. x86: `slot` is encoded as an absolute address, `from` does not matter.
   */
  jumpThroughSlot(from: bigint, slot: bigint): Uint8Array;
  /** `length` bytes of INT 3 (CC). */
  fill(length: number): Uint8Array;
  decode(bytes: Uint8Array, at: bigint): X86Branch | undefined;
  /** Where `shortJump`, `nearJump` or `call` at `at` goes; undefined for every other instruction. */
  branchTarget(bytes: Uint8Array, at: bigint): bigint | undefined;
}

/** One of the forms of {@link X86Encoder}, recognised. `slot` is the address of the pointer, `target` of code. */
export type X86Branch =
  | { readonly form: 'shortJump'; readonly length: 2; readonly target: bigint }
  | { readonly form: 'nearJump' | 'call'; readonly length: 5; readonly target: bigint }
  | { readonly form: 'jumpThroughSlot'; readonly length: 6; readonly slot: bigint };

const JMP_REL8 = 0xeb;
const JMP_REL32 = 0xe9;
const CALL_REL32 = 0xe8;
const INT3 = 0xcc;

/** 64-bit code. */
export const x64Encoder: X86Encoder = encoder(64);

/** 32-bit code: protected mode, and compatibility mode under WOW64. */
export const x86Encoder: X86Encoder = encoder(32);

function encoder(width: 32 | 64): X86Encoder {
  const wrap = (address: bigint): bigint => BigInt.asUintN(width, address);

  function displacement(form: string, from: bigint, length: number, to: bigint, bits: 8 | 32): number {
    const distance = BigInt.asIntN(width, to - from - BigInt(length));
    if (distance !== BigInt.asIntN(bits, distance)) {
      throw new CpuError(
        'branchOutOfRange',
        `${form} at ${hex(wrap(from))} cannot reach ${hex(wrap(to))}: displacement ${distance} does not fit in ${bits} bits`,
        { address: wrap(from), status: 'STATUS_CONFLICTING_ADDRESSES' },
      );
    }
    return Number(distance);
  }

  function relative32(form: string, opcode: number, from: bigint, to: bigint): Uint8Array {
    const bytes = new Uint8Array(5);
    bytes[0] = opcode;
    new DataView(bytes.buffer).setInt32(1, displacement(form, from, 5, to, 32), true);
    return bytes;
  }

  function decode(bytes: Uint8Array, at: bigint): X86Branch | undefined {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const target = (length: number, distance: number) => wrap(at + BigInt(length) + BigInt(distance));
    switch (bytes[0]) {
      case JMP_REL8:
        return bytes.length < 2
          ? undefined
          : { form: 'shortJump', length: 2, target: target(2, view.getInt8(1)) };
      case JMP_REL32:
      case CALL_REL32: {
        if (bytes.length < 5) return undefined;
        const form = bytes[0] === JMP_REL32 ? 'nearJump' : 'call';
        return { form, length: 5, target: target(5, view.getInt32(1, true)) };
      }
      case 0xff: {
        if (bytes.length < 6 || bytes[1] !== 0x25) return undefined;
        const slot = width === 64 ? target(6, view.getInt32(2, true)) : BigInt(view.getUint32(2, true));
        return { form: 'jumpThroughSlot', length: 6, slot };
      }
      default:
        return undefined;
    }
  }

  return {
    shortJump: (from, to) => Uint8Array.of(JMP_REL8, displacement('jmp short', from, 2, to, 8) & 0xff),
    nearJump: (from, to) => relative32('jmp', JMP_REL32, from, to),
    call: (from, to) => relative32('call', CALL_REL32, from, to),
    jumpThroughSlot(from, slot) {
      const bytes = Uint8Array.of(0xff, 0x25, 0, 0, 0, 0);
      const view = new DataView(bytes.buffer);
      if (width === 64) view.setInt32(2, displacement('jmp through slot', from, 6, slot, 32), true);
      else view.setUint32(2, Number(wrap(slot)), true);
      return bytes;
    },
    fill: (length) => new Uint8Array(length).fill(INT3),
    decode,
    branchTarget(bytes, at) {
      const branch = decode(bytes, at);
      return branch !== undefined && 'target' in branch ? branch.target : undefined;
    },
  };
}
