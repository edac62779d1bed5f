import type { ImageArchitecture } from '../mapped-file.js';
import type { ReadMemory } from '../recognise.js';

/** A jump that something has written over the first instructions of a function. */
export interface HookShape {
  /** How it looks: `jmp rel32`, `mov rax, imm64; jmp rax` … */
  readonly shape: string;
  /** Where it leads, if its bytes say so. */
  readonly target?: bigint;
  /** The pointer that it goes through. */
  readonly slot?: bigint;
}

type Recogniser = (bytes: DataView, address: bigint, read: ReadMemory) => HookShape | undefined;

const LONGEST = 16;

const pointerAt = (read: ReadMemory, address: bigint, size: 4 | 8): bigint | undefined => {
  const bytes = read(address, size);
  if (bytes.length < size) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, size);
  return size === 8 ? view.getBigUint64(0, true) : BigInt(view.getUint32(0, true));
};

const relative = (bytes: DataView, address: bigint, at: number): bigint =>
  address + BigInt(at + 4) + BigInt(bytes.getInt32(at, true));

/** Jumps that begin alike on x86 and x64, where an address without registers is relative to the next instruction. */
function jumps(
  bytes: DataView,
  address: bigint,
  { pointerSize, isRelative }: { readonly pointerSize: 4 | 8; readonly isRelative: boolean },
  read: ReadMemory,
): HookShape | undefined {
  const wrap = (value: bigint) => BigInt.asUintN(pointerSize * 8, value);
  if (bytes.getUint8(0) === 0xe9) return { shape: 'jmp rel32', target: wrap(relative(bytes, address, 1)) };
  if (bytes.getUint16(0, true) === 0x25ff) {
    const operand = BigInt(bytes.getInt32(2, true));
    const slot = wrap(isRelative ? address + 6n + operand : operand);
    const target = pointerAt(read, slot, pointerSize);
    return { shape: 'jmp [slot]', slot, ...(target === undefined ? {} : { target }) };
  }
  if (bytes.getUint8(0) === 0x68 && bytes.getUint8(5) === 0xc3)
    return { shape: 'push imm32; ret', target: wrap(BigInt(bytes.getInt32(1, true))) };
  if (bytes.getUint8(0) === 0xcc && bytes.getUint8(1) !== 0xcc) return { shape: 'int3' };
  return undefined;
}

const x86: Recogniser = (bytes, address, read) => {
  const jump = jumps(bytes, address, { pointerSize: 4, isRelative: false }, read);
  if (jump !== undefined) return jump;
  const register = bytes.getUint8(0) - 0xb8;
  if (register >= 0 && register < 8 && bytes.getUint8(5) === 0xff && bytes.getUint8(6) === 0xe0 + register)
    return { shape: 'mov register, imm32; jmp register', target: BigInt(bytes.getUint32(1, true)) };
  return undefined;
};

const x64: Recogniser = (bytes, address, read) => {
  const jump = jumps(bytes, address, { pointerSize: 8, isRelative: true }, read);
  if (jump !== undefined) return jump;
  const rex = bytes.getUint8(0);
  const register = bytes.getUint8(1) - 0xb8;
  if ((rex !== 0x48 && rex !== 0x49) || register < 0 || register > 7) return undefined;
  const prefixed = rex === 0x49;
  const at = 10 + Number(prefixed);
  const isJump =
    (!prefixed || bytes.getUint8(10) === 0x41) &&
    bytes.getUint8(at) === 0xff &&
    bytes.getUint8(at + 1) === 0xe0 + register;
  const isReturn = !prefixed && bytes.getUint8(10) === 0x50 + register && bytes.getUint8(11) === 0xc3;
  if (!isJump && !isReturn) return undefined;
  return {
    shape: isJump ? 'mov register, imm64; jmp register' : 'mov register, imm64; push register; ret',
    target: bytes.getBigUint64(2, true),
  };
};

/** `br xN` with N of another instruction's operand. */
const branchRegister = (register: number): number => 0xd61f_0000 + register * 0x20;

const arm64: Recogniser = (bytes, address, read) => {
  const words = [0, 4, 8].map((at) => bytes.getUint32(at, true));
  const [first = 0, second = 0, third = 0] = words;
  if (first >>> 26 === 0b000101) {
    const distance = BigInt.asIntN(28, BigInt(first & 0x03ff_ffff) << 2n);
    return { shape: 'b', target: BigInt.asUintN(64, address + distance) };
  }
  const register = first & 31;
  if (first >>> 24 === 0x58 && second >>> 0 === branchRegister(register)) {
    const slot = address + (BigInt.asIntN(19, BigInt((first >>> 5) & 0x7_ffff)) << 2n);
    const target = pointerAt(read, slot, 8);
    return { shape: 'ldr register, literal; br register', slot, ...(target === undefined ? {} : { target }) };
  }
  const isPage = (first & 0x9f00_0000) >>> 0 === 0x9000_0000;
  const isAdd = second >>> 22 === 0x244 && (second & 31) === register && ((second >>> 5) & 31) === register;
  if (isPage && isAdd && third >>> 0 === branchRegister(register)) {
    const high = BigInt.asIntN(21, BigInt(((first >>> 5) & 0x7_ffff) * 4 + ((first >>> 29) & 3)));
    const target = (address & ~0xfffn) + (high << 12n) + BigInt((second >>> 10) & 0xfff);
    return { shape: 'adrp; add; br', target: BigInt.asUintN(64, target) };
  }
  if ((first & 0xffe0_001f) >>> 0 === 0xd420_0000) return { shape: 'brk' };
  return undefined;
};

const RECOGNISERS: Readonly<Record<ImageArchitecture, Recogniser>> = { x64, x86, arm64 };

/** The jump of an inline hook at an address, by the shapes that hook libraries write. It may as well be the function's own. */
export function hookShape(
  architecture: ImageArchitecture,
  read: ReadMemory,
  address: bigint,
): HookShape | undefined {
  const bytes = new Uint8Array(LONGEST);
  const found = read(address, LONGEST);
  if (found.length < 4) return undefined;
  bytes.set(found);
  return RECOGNISERS[architecture](new DataView(bytes.buffer), address, read);
}
