/** Where structures lie: what reads and writes numbers. */
export interface StructureMemory {
  readU8(address: bigint): number;
  readU16(address: bigint): number;
  readU32(address: bigint): number;
  readU64(address: bigint): bigint;
  writeU8(address: bigint, value: number): void;
  writeU16(address: bigint, value: number): void;
  writeU32(address: bigint, value: number): void;
  writeU64(address: bigint, value: bigint): void;
}

export type FieldType = 'u8' | 'u16' | 'u32' | 'u64' | 'pointer' | 'structure';

/** Offset in 64-bit code, offset in 32-bit code, and what lies there. */
export type Field = readonly [at64: number, at32: number, type: FieldType];

/** A structure of the driver kit's headers: its fields by the names that they have there. */
export interface Layout<F extends string = string> {
  readonly name: string;
  /** Bytes in 64-bit code and in 32-bit code. */
  readonly size: readonly [number, number];
  readonly fields: Readonly<Record<F, Field>>;
}

export function layout<const F extends Record<string, Field>>(
  name: string,
  size: readonly [number, number],
  fields: F,
): Layout<Extract<keyof F, string>> {
  return { name, size, fields };
}

/** Of pairs for 64-bit and for 32-bit code. */
const COLUMN = { 8: 0, 4: 1 } as const;

export function sizeOf({ size }: Layout, pointerSize: 4 | 8): number {
  return size[COLUMN[pointerSize]];
}

/** A structure in guest memory. */
export class Structure<F extends string = string> {
  constructor(
    private readonly layout: Layout<F>,
    readonly memory: StructureMemory,
    readonly address: bigint,
    readonly pointerSize: 4 | 8,
  ) {}

  get size(): number {
    return sizeOf(this.layout, this.pointerSize);
  }

  /** Address of a field. */
  at(field: F): bigint {
    return this.address + BigInt(this.layout.fields[field][COLUMN[this.pointerSize]]);
  }

  /** A field of at most 32 bits, unsigned. */
  get(field: F): number {
    return Number(this.wide(field));
  }

  /** A field of any width: addresses too. */
  wide(field: F): bigint {
    const address = this.at(field);
    const { memory } = this;
    switch (this.#width(field)) {
      case 1:
        return BigInt(memory.readU8(address));
      case 2:
        return BigInt(memory.readU16(address));
      case 4:
        return BigInt(memory.readU32(address));
      default:
        return memory.readU64(address);
    }
  }

  /** Cuts `value` to the width of the field. */
  set(field: F, value: number | bigint): void {
    const address = this.at(field);
    const { memory } = this;
    const width = this.#width(field);
    const bits = BigInt.asUintN(8 * width, BigInt(value));
    if (width === 1) memory.writeU8(address, Number(bits));
    else if (width === 2) memory.writeU16(address, Number(bits));
    else if (width === 4) memory.writeU32(address, Number(bits));
    else memory.writeU64(address, bits);
  }

  #width(field: F): 1 | 2 | 4 | 8 {
    const type = this.layout.fields[field][2];
    if (type === 'structure') throw new RangeError(`${this.layout.name}.${field} is a structure of its own`);
    return ({ u8: 1, u16: 2, u32: 4, u64: 8, pointer: this.pointerSize } as const)[type];
  }
}
