/** `0x1f`; negative numbers as `-0x1f`. */
export function hex(value: number | bigint, digits = 1): string {
  const magnitude = value < 0 ? -value : value;
  return `${value < 0 ? '-' : ''}0x${magnitude.toString(16).padStart(digits, '0')}`;
}

export function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}

/** The names of the bits that are set, in the table's order; unknown bits as one hexadecimal remainder. */
export function flagNames(value: number, table: Readonly<Record<string, number>>): string[] {
  const names: string[] = [];
  let rest = value >>> 0;
  for (const [name, mask] of Object.entries(table)) {
    if ((value & mask) >>> 0 === mask >>> 0 && mask !== 0) {
      names.push(name);
      rest = (rest & ~mask) >>> 0;
    }
  }
  if (rest !== 0) names.push(hex(rest));
  return names;
}

/** The name whose value this is. */
export function nameOf(value: number, table: Readonly<Record<string, number>>): string | undefined {
  for (const [name, candidate] of Object.entries(table)) if (candidate === value) return name;
  return undefined;
}

/** One character for each byte: U+0000 to U+00FF. (TextDecoder's `latin1` is windows-1252.) */
export function latin1(bytes: Uint8Array): string {
  const CHUNK = 0x2000;
  let text = '';
  for (let at = 0; at < bytes.length; at += CHUNK) {
    text += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  }
  return text;
}

/** `0102ff` */
export function hexBytes(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
