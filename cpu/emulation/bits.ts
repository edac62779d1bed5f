/** Bit operations of BMI1 and BMI2 (Intel SDM vol. 2), on values of `size` bits. */
export const lowBits = (count: bigint): bigint => (1n << count) - 1n;

/** PDEP: the low bits of `source`, one after the other, to the places where `mask` has ones. */
export function deposit(source: bigint, mask: bigint, size: number): bigint {
  let result = 0n;
  let next = 0n;
  for (let bit = 0n; bit < BigInt(size); bit++) {
    if (((mask >> bit) & 1n) === 0n) continue;
    result |= ((source >> next) & 1n) << bit;
    next += 1n;
  }
  return result;
}

/** PEXT: the bits of `source` at the places where `mask` has ones, side by side. */
export function extract(source: bigint, mask: bigint, size: number): bigint {
  let result = 0n;
  let next = 0n;
  for (let bit = 0n; bit < BigInt(size); bit++) {
    if (((mask >> bit) & 1n) === 0n) continue;
    result |= ((source >> bit) & 1n) << next;
    next += 1n;
  }
  return result;
}

export function rotateRight(value: bigint, count: bigint, size: number): bigint {
  const by = count & BigInt(size - 1);
  return BigInt.asUintN(size, (value >> by) | (value << (BigInt(size) - by)));
}

export function hasEvenParity(value: bigint): boolean {
  let byte = Number(value & 0xffn);
  byte ^= byte >> 4;
  byte ^= byte >> 2;
  byte ^= byte >> 1;
  return (byte & 1) === 0;
}
