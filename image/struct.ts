import type { ByteReader } from './reader.js';

/** `pointer` is a virtual address or size of the image's own width: 4 bytes in PE32, 8 in PE32+. */
export type FieldKind = 'u8' | 'u16' | 'u32' | 'u64' | 'pointer';
/** 64-bit fields and pointers are bigints. */
export type FieldValue<K extends FieldKind> = K extends 'u64' | 'pointer' ? bigint : number;
/** The values of a structure's fields. */
export type StructValues<F extends Record<string, FieldKind>> = { [N in keyof F]: FieldValue<F[N]> };
export type PointerSize = 4 | 8;

export interface Field {
  readonly name: string;
  readonly kind: FieldKind;
  readonly offset: number;
  readonly size: number;
}

/** An on-disk structure as winnt.h declares it: packed little-endian fields, in order. */
export class Struct<F extends Record<string, FieldKind>> {
  readonly name: string;
  readonly size: number;
  readonly fields: readonly Field[];
  readonly #offsets = new Map<string, Field>();

  constructor(name: string, fields: F, pointerSize: PointerSize = 8) {
    this.name = name;
    const list: Field[] = [];
    let offset = 0;
    for (const [fieldName, kind] of Object.entries(fields)) {
      const size =
        kind === 'u8' ? 1 : kind === 'u16' ? 2 : kind === 'u32' ? 4 : kind === 'u64' ? 8 : pointerSize;
      const field = { name: fieldName, kind, offset, size };
      list.push(field);
      this.#offsets.set(fieldName, field);
      offset += size;
    }
    this.fields = list;
    this.size = offset;
  }

  field(name: keyof F & string): Field {
    const field = this.#offsets.get(name);
    if (field === undefined) throw new RangeError(`${this.name} has no field ${name}`);
    return field;
  }

  offsetOf(name: keyof F & string): number {
    return this.field(name).offset;
  }

  /** Reads the structure; fields that do not lie wholly within `available` bytes are zero. */
  read(reader: ByteReader, offset = 0, available = this.size): StructValues<F> {
    const values: Record<string, number | bigint> = {};
    for (const field of this.fields) {
      const wide = field.kind === 'u64' || field.kind === 'pointer';
      if (field.offset + field.size > available) values[field.name] = wide ? 0n : 0;
      else {
        const value = readUnsigned(reader, offset + field.offset, field.size);
        values[field.name] = wide ? BigInt(value) : value;
      }
    }
    return values as StructValues<F>;
  }

  /** Writes the given fields and leaves the others' bytes alone. */
  write(bytes: Uint8Array, offset: number, values: Partial<StructValues<F>>): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (const [name, value] of Object.entries(values) as [string, number | bigint | undefined][]) {
      if (value === undefined) continue;
      const field = this.field(name);
      const at = offset + field.offset;
      if (field.size === 1) view.setUint8(at, Number(value));
      else if (field.size === 2) view.setUint16(at, Number(value), true);
      else if (field.size === 4) view.setUint32(at, Number(value), true);
      else view.setBigUint64(at, BigInt(value), true);
    }
  }
}

function readUnsigned(reader: ByteReader, offset: number, size: number): number | bigint {
  switch (size) {
    case 1:
      return reader.u8At(offset);
    case 2:
      return reader.u16At(offset);
    case 4:
      return reader.u32At(offset);
    default:
      return reader.u64At(offset);
  }
}
