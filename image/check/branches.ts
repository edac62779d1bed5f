import type { ImageArchitecture } from '../mapped-file.js';

/**
 * The last offset in `code`, which lies at `rva`, at which a direct jump to one of `isTarget` may begin, -1 if there is
 * none. Looks at bytes without knowing where instructions begin, so that most functions need not be decoded: it may name
 * what is no jump, but passes over none.
 */
export function lastPossibleJump(
  architecture: ImageArchitecture,
  code: Uint8Array,
  rva: number,
  isTarget: (rva: number) => boolean,
): number {
  return LAST_JUMP[architecture](code, rva, isTarget);
}

const OPERAND_SIZE = 0x66;

/** Intel SDM vol. 2: Jcc, JMP, LOOPcc and JrCXZ with rel8; Jcc, JMP and XBEGIN with rel32. */
function lastX86Jump(
  code: Uint8Array,
  rva: number,
  isTarget: (rva: number) => boolean,
  hasShortDisplacements: boolean,
): number {
  const view = new DataView(code.buffer, code.byteOffset, code.byteLength);
  for (let at = code.length - 2; at >= 0; at--) {
    const opcode = code[at] ?? 0;
    const isRel8 = (opcode & 0xf0) === 0x70 || opcode === 0xeb || (opcode & 0xfc) === 0xe0;
    if (isRel8) {
      if (isTarget(rva + at + 2 + view.getInt8(at + 1))) return at;
      continue;
    }
    const length = lengthOfRel32(opcode, code[at + 1] ?? 0);
    if (length === 0) continue;
    // rel16, whose target is cut to 16 bits: rare enough to be looked at anyway.
    if (hasShortDisplacements && at > 0 && code[at - 1] === OPERAND_SIZE) return at;
    if (at + length <= code.length && isTarget(rva + at + length + view.getInt32(at + length - 4, true)))
      return at;
  }
  return -1;
}

/** Length of the instruction with these first two bytes if it is a jump with rel32, else 0. */
function lengthOfRel32(first: number, second: number): number {
  if (first === 0xe9) return 5;
  if (first === 0x0f) return (second & 0xf0) === 0x80 ? 6 : 0;
  return first === 0xc7 && second === 0xf8 ? 6 : 0;
}

/** Arm ARM, C4.1.86: B; B.cond and BC.cond; CBZ and CBNZ; TBZ and TBNZ. */
function lastArm64Jump(code: Uint8Array, rva: number, isTarget: (rva: number) => boolean): number {
  const view = new DataView(code.buffer, code.byteOffset, code.byteLength);
  for (let at = (code.length & ~3) - 4; at >= 0; at -= 4) {
    const word = view.getUint32(at, true);
    let words: number;
    if (word >>> 26 === 0x05) words = (word << 6) >> 6;
    else if (word >>> 24 === 0x54 || (word & 0x7e00_0000) === 0x3400_0000) words = (word << 8) >> 13;
    else if ((word & 0x7e00_0000) === 0x3600_0000) words = (word << 13) >> 18;
    else continue;
    if (isTarget(rva + at + words * 4)) return at;
  }
  return -1;
}

type LastJump = (code: Uint8Array, rva: number, isTarget: (rva: number) => boolean) => number;

const LAST_JUMP: Readonly<Record<ImageArchitecture, LastJump>> = {
  x64: (code, rva, isTarget) => lastX86Jump(code, rva, isTarget, false),
  x86: (code, rva, isTarget) => lastX86Jump(code, rva, isTarget, true),
  arm64: lastArm64Jump,
};
