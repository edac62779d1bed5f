/** Memory of the guest, as far as pointers need it. */
export interface PointerMemory {
  readU32(address: bigint): number;
  readU64(address: bigint): bigint;
  writeU32(address: bigint, value: number): void;
  writeU64(address: bigint, value: bigint): void;
}

/** A pointer of 4 or 8 bytes, little-endian. */
export function readPointer(memory: PointerMemory, address: bigint, pointerSize: 4 | 8): bigint {
  return pointerSize === 8 ? memory.readU64(address) : BigInt(memory.readU32(address));
}

export function writePointer(
  memory: PointerMemory,
  address: bigint,
  value: bigint,
  pointerSize: 4 | 8,
): void {
  if (pointerSize === 8) memory.writeU64(address, BigInt.asUintN(64, value));
  else memory.writeU32(address, Number(BigInt.asUintN(32, value)));
}
