/** A result register as a C `int`: its low 32 bits, signed. */
export function asInt(register: bigint): number {
  return Number(BigInt.asIntN(32, register));
}
