import type { ImageArchitecture } from './mapped-file.js';
/** Reads code; fewer bytes than asked for where memory ends. */
export type ReadMemory = (address: bigint, length: number) => Uint8Array;

/** What stands at a function's entry, by its bytes alone. */
export type EntryRedirection =
  | { readonly kind: 'none' }
  /** The redirection of an operating system's hotpatch: entry → (padding →) code slot, which jumps through its data slot. */
  | { readonly kind: 'hotpatch'; readonly codeSlot: bigint; readonly dataSlot: bigint }
  /** Some other jump: an inline hook. `target`: where it leads, if its bytes say so. */
  | { readonly kind: 'hook'; readonly target?: bigint };

/** A data slot lies one page behind its code slot. */
const SLOT_DISTANCE = 0x1000n;

const PADDING_JUMP = 5;
const ARM64_SLOT = [0x5800_8010, 0xd61f_0200] as const;

/**
 * Tells functions that Windows has hotpatched from others and from those that something else has hooked, by what is
 * public of the trampolines since Microsoft Detours recognises them (`src/detours.cpp`, October 2024): x64 and x86 a jump
 * of two bytes into the padding, there `E9`, at its target `FF 25` through a pointer 0x1000 bytes further; ARM64 a forward
 * `b` to `ldr x16, [pc + 0x1000]; br x16`. Written from that alone: it knows nothing of this project's engine.
 */
export function recogniseEntry(
  machine: ImageArchitecture,
  read: ReadMemory,
  entry: bigint,
): EntryRedirection {
  return RECOGNISERS[machine](read, entry);
}

/** Where the pointer of the `FF 25` at `at` lies: RIP-relative, or an address. */
type PointerPlace = (at: bigint, operand: number) => bigint;

function recogniseX86(
  bits: 32 | 64,
  pointerPlace: PointerPlace,
  read: ReadMemory,
  entry: bigint,
): EntryRedirection {
  const wrap = (address: bigint) => BigInt.asUintN(bits, address);
  const at = (address: bigint, length: number) => view(read(wrap(address), length), length);
  const first = at(entry, 6);
  if (first === undefined) return { kind: 'none' };
  if (first.getUint8(0) === 0xe9)
    return { kind: 'hook', target: wrap(entry + 5n + BigInt(first.getInt32(1, true))) };
  if (first.getUint8(0) === 0xff && first.getUint8(1) === 0x25) return { kind: 'hook' };
  if (first.getUint8(0) !== 0xeb) return { kind: 'none' };
  const padding = wrap(entry + 2n + BigInt(first.getInt8(1)));
  // A short jump anywhere else is the function's own.
  if (padding < wrap(entry - 16n) || padding >= entry) return { kind: 'none' };
  const jump = at(padding, PADDING_JUMP);
  if (jump?.getUint8(0) !== 0xe9) return { kind: 'hook' };
  const target = wrap(padding + BigInt(PADDING_JUMP) + BigInt(jump.getInt32(1, true)));
  const slot = at(target, 6);
  if (padding !== wrap(entry - BigInt(PADDING_JUMP)) || slot?.getUint16(0, true) !== 0x25ff)
    return { kind: 'hook', target };
  const dataSlot = wrap(pointerPlace(target, slot.getInt32(2, true)));
  return dataSlot === wrap(target + SLOT_DISTANCE)
    ? { kind: 'hotpatch', codeSlot: target, dataSlot }
    : { kind: 'hook', target };
}

function recogniseArm64(read: ReadMemory, entry: bigint): EntryRedirection {
  const word = (address: bigint) => view(read(address, 4), 4)?.getUint32(0, true);
  const first = word(entry);
  if (first === undefined) return { kind: 'none' };
  // Hooks load a register with a literal behind the entry and branch to it.
  if (
    (first & 0xff00_0000) >>> 0 === 0x5800_0000 &&
    ((word(entry + 4n) ?? 0) & 0xffff_fc1f) >>> 0 === 0xd61f_0000
  )
    return { kind: 'hook' };
  if ((first & 0xfc00_0000) >>> 0 !== 0x1400_0000) return { kind: 'none' };
  const distance = BigInt.asIntN(28, BigInt(first & 0x03ff_ffff) << 2n);
  const target = BigInt.asUintN(64, entry + distance);
  const isSlot = ARM64_SLOT.every((expected, index) => word(target + BigInt(index * 4)) === expected);
  return isSlot && distance > 0n
    ? { kind: 'hotpatch', codeSlot: target, dataSlot: target + SLOT_DISTANCE }
    : { kind: 'hook', target };
}

function view(bytes: Uint8Array, length: number): DataView | undefined {
  return bytes.length < length ? undefined : new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

type Recogniser = (read: ReadMemory, entry: bigint) => EntryRedirection;

const RECOGNISERS: Readonly<Record<ImageArchitecture, Recogniser>> = {
  x64: (read, entry) => recogniseX86(64, (at, operand) => at + 6n + BigInt(operand), read, entry),
  x86: (read, entry) => recogniseX86(32, (_, operand) => BigInt(operand), read, entry),
  arm64: recogniseArm64,
};
