import type { RelocationType } from '../relocation-list.js';

/** What a part of an image under construction may ask for about the finished layout. */
export interface Layout {
  /** RVA of a named part. */
  rva(name: string): number;
  /** Its virtual address at the preferred base. */
  address(name: string): bigint;
  /** Its length in bytes. */
  size(name: string): number;
  /** Its offset in the file. */
  offset(name: string): number;
}

/**
 * Contents of a part: bytes, or a function of the layout. The function is called twice, the first time with a layout in
 * which every RVA is the same: its result must be of the same length both times.
 */
export type Contents = Uint8Array | readonly number[] | ((layout: Layout) => Uint8Array | readonly number[]);

export interface Item {
  readonly name: string;
  readonly section: string;
  readonly contents: Contents;
  readonly alignment: number;
  /** At least this many fill bytes come before the part. */
  readonly padding: number;
  readonly kind: 'function' | 'data';
  /** Places in the part that hold an address, by offset. */
  readonly relocations: readonly { readonly offset: number; readonly type: RelocationType }[];
  /** Bytes without file data, laid out behind the section's others. */
  readonly uninitialized?: number;
}

export interface PlacedItem extends Item {
  readonly rva: number;
  readonly size: number;
}

export function bytesOf(contents: Contents, layout: Layout): Uint8Array {
  return Uint8Array.from(typeof contents === 'function' ? contents(layout) : contents);
}

/** Little-endian bytes of a list of fields, each with its size. */
export function pack(
  ...fields: readonly (readonly [value: number | bigint, size: 1 | 2 | 4 | 8])[]
): Uint8Array {
  const bytes: number[] = [];
  for (const [value, size] of fields) {
    let rest = BigInt.asUintN(8 * size, BigInt(value));
    for (let i = 0; i < size; i++, rest >>= 8n) bytes.push(Number(rest & 0xffn));
  }
  return Uint8Array.from(bytes);
}

export function u32s(...values: number[]): Uint8Array {
  return pack(...values.map((value) => [value, 4] as const));
}

export function cString(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`);
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
