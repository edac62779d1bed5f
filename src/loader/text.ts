/** `fffff800`12345678`: 64-bit addresses as WinDbg prints them, 32-bit ones as eight digits. */
export function formatAddress(address: bigint, pointerSize: 4 | 8 = 8): string {
  const digits = BigInt.asUintN(pointerSize * 8, address).toString(16);
  if (pointerSize === 4) return digits.padStart(8, '0');
  const padded = digits.padStart(16, '0');
  return `${padded.slice(0, 8)}\`${padded.slice(8)}`;
}

/** `0x1f`. */
export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

/** `e9 1b 02 00 00` */
export function formatBytes(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}
