/** `0x1f`. */
export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

/** `e9 1b 02 00 00` */
export function formatBytes(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}
