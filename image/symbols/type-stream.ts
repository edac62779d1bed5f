import { ByteReader } from '../reader.js';

/** Leaf kinds of CodeView type records (cvinfo.h of microsoft-pdb). */
const LF = {
  MODIFIER: 0x1001,
  POINTER: 0x1002,
  PROCEDURE: 0x1008,
  MFUNCTION: 0x1009,
  ARGLIST: 0x1201,
  FIELDLIST: 0x1203,
  BITFIELD: 0x1205,
  BCLASS: 0x1400,
  METHODLIST: 0x1206,
  INDEX: 0x1404,
  VFUNCTAB: 0x1409,
  ENUMERATE: 0x1502,
  ARRAY: 0x1503,
  CLASS: 0x1504,
  STRUCTURE: 0x1505,
  UNION: 0x1506,
  ENUM: 0x1507,
  MEMBER: 0x150d,
  STMEMBER: 0x150e,
  METHOD: 0x150f,
  NESTTYPE: 0x1510,
  ONEMETHOD: 0x1511,
} as const;

/** lfPointerAttr.size: six bits above thirteen (cvinfo.h). */
const POINTER_SIZE_SHIFT = 13;

/** CV_prop_t.fwdref: the definition is another record. */
const FORWARD_REFERENCE = 0x80;
const INTRODUCING_VIRTUAL = new Set([4, 6]);

/** Simple types below 0x1000: kind in the low byte, pointer mode above (cvinfo.h, TYPE_ENUM_e). */
const SIMPLE: Readonly<Record<number, string>> = {
  3: 'void',
  8: 'HRESULT',
  16: 'signed char',
  17: 'short',
  18: 'long',
  19: 'long long',
  32: 'unsigned char',
  33: 'unsigned short',
  34: 'unsigned long',
  35: 'unsigned long long',
  48: 'bool',
  64: 'float',
  65: 'double',
  66: 'long double',
  104: 'int8',
  105: 'uint8',
  112: 'char',
  113: 'wchar_t',
  114: 'int16',
  115: 'uint16',
  116: 'int',
  117: 'unsigned',
  118: 'int64',
  119: 'uint64',
};

/** Bytes of the simple types that have the same size everywhere. */
const SIMPLE_SIZE: Readonly<Record<number, number>> = {
  8: 4,
  16: 1,
  17: 2,
  18: 4,
  19: 8,
  32: 1,
  33: 2,
  34: 4,
  35: 8,
  48: 1,
  64: 4,
  65: 8,
  104: 1,
  105: 1,
  112: 1,
  113: 2,
  114: 2,
  115: 2,
  116: 4,
  117: 4,
  118: 8,
  119: 8,
};

/** Bytes of simple pointers by their mode: near 32-bit and near 64-bit ones. */
const POINTER_MODE_SIZE: Readonly<Record<number, number>> = { 1024: 4, 1536: 8 };

/** The TPI stream: types by index. https://llvm.org/docs/PDB/TpiStream.html */
export class TypeStream {
  readonly #reader: ByteReader;
  readonly #first: number;
  /** Offset of each record's leaf kind. */
  readonly #offsets: number[] = [];
  #layouts: ReadonlyMap<string, { size: number }> | undefined;

  constructor(bytes: Uint8Array) {
    this.#reader = new ByteReader(bytes, 'TPI stream');
    const reader = this.#reader;
    this.#first = reader.u32At(8);
    const end = reader.u32At(4) + reader.u32At(16);
    for (let at = reader.u32At(4); at + 4 <= end; at += 2 + reader.u16At(at)) this.#offsets.push(at + 2);
  }

  /**
   * Size and fields of every structure, class and union that has a name and is not only declared, by name.
   */
  layouts(): Map<string, { size: number; text: string }> {
    const found = new Map<string, { size: number; text: string }>();
    for (const at of this.#offsets) {
      const kind = this.#reader.u16At(at);
      if (kind !== LF.STRUCTURE && kind !== LF.CLASS && kind !== LF.UNION) continue;
      const { name, size, fields, isForward } = this.#compound(at, kind);
      if (isForward || name.startsWith('<')) continue;
      found.set(name, { size, text: this.#members(fields) });
    }
    return found;
  }

  /** Enumerations by name: what each enumerator is; those without a name under that of their first enumerator. */
  enumerations(): Map<string, ReadonlyMap<string, bigint>> {
    const found = new Map<string, ReadonlyMap<string, bigint>>();
    for (const at of this.#offsets) {
      if (this.#reader.u16At(at) !== LF.ENUM) continue;
      const isForward = (this.#reader.u16At(at + 4) & FORWARD_REFERENCE) !== 0;
      if (isForward) continue;
      const values = this.#enumerators(this.#reader.u32At(at + 10));
      const name = this.#reader.cStringAt(at + 14);
      const [first = name] = values.keys();
      found.set(name.startsWith('<') ? first : name, values);
    }
    return found;
  }

  /** `int (char*, int)`; undefined when the index is not a procedure's. */
  procedure(index: number): string | undefined {
    const at = this.#at(index);
    if (at === undefined) return undefined;
    const kind = this.#reader.u16At(at);
    if (kind === LF.PROCEDURE)
      return `${this.name(this.#reader.u32At(at + 2))} (${this.#arguments(this.#reader.u32At(at + 10))})`;
    if (kind === LF.MFUNCTION)
      return `${this.name(this.#reader.u32At(at + 2))} (${this.#arguments(this.#reader.u32At(at + 18))})`;
    return undefined;
  }

  /** A type as C would write it; structures by name, so that a change inside is told once, by `layouts`. */
  name(index: number, depth = 0): string {
    if (index < 0x1000) {
      const simple = SIMPLE[index & 0xff] ?? `type 0x${index.toString(16)}`;
      return (index & 0xf00) === 0 ? simple : `${simple}*`;
    }
    const at = this.#at(index);
    if (at === undefined || depth > 32) return `type 0x${index.toString(16)}`;
    const reader = this.#reader;
    const kind = reader.u16At(at);
    switch (kind) {
      case LF.MODIFIER:
        return this.name(reader.u32At(at + 2), depth + 1);
      case LF.POINTER:
        return `${this.name(reader.u32At(at + 2), depth + 1)}*`;
      case LF.PROCEDURE:
      case LF.MFUNCTION:
        return this.procedure(index) ?? 'procedure';
      case LF.ARRAY: {
        const element = this.name(reader.u32At(at + 2), depth + 1);
        return `${element}[${this.#number(at + 10).value} bytes]`;
      }
      case LF.BITFIELD:
        return `${this.name(reader.u32At(at + 2), depth + 1)}:${reader.u8At(at + 6)}@${reader.u8At(at + 7)}`;
      case LF.STRUCTURE:
      case LF.CLASS:
      case LF.UNION: {
        const { name, size, fields, isForward } = this.#compound(at, kind);
        return name.startsWith('<') && !isForward ? `${size} bytes { ${this.#members(fields)} }` : name;
      }
      case LF.ENUM: {
        const name = reader.cStringAt(at + 14);
        const underlying = this.name(reader.u32At(at + 6), depth + 1);
        return name.startsWith('<') ? underlying : `enum ${name}`;
      }
      default:
        return `leaf 0x${kind.toString(16)}`;
    }
  }

  /** Bytes of a variable of the type; undefined where the stream does not say. */
  size(index: number, depth = 0): number | undefined {
    if (index < 0x1000)
      return (index & 0xf00) === 0 ? SIMPLE_SIZE[index & 0xff] : POINTER_MODE_SIZE[index & 0xf00];
    const at = this.#at(index);
    if (at === undefined || depth > 32) return undefined;
    const reader = this.#reader;
    const kind = reader.u16At(at);
    switch (kind) {
      case LF.MODIFIER:
        return this.size(reader.u32At(at + 2), depth + 1);
      case LF.POINTER:
        return (reader.u32At(at + 6) >> POINTER_SIZE_SHIFT) & 0x3f || undefined;
      case LF.ARRAY:
        return this.#number(at + 10).value;
      case LF.ENUM:
        return this.size(reader.u32At(at + 6), depth + 1);
      case LF.STRUCTURE:
      case LF.CLASS:
      case LF.UNION: {
        const { name, size, isForward } = this.#compound(at, kind);
        if (!isForward) return size;
        this.#layouts ??= this.layouts();
        return this.#layouts.get(name)?.size;
      }
      default:
        return undefined;
    }
  }

  #arguments(index: number): string {
    const at = this.#at(index);
    if (at === undefined || this.#reader.u16At(at) !== LF.ARGLIST) return '';
    const count = this.#reader.u32At(at + 2);
    return Array.from({ length: count }, (_, i) => this.name(this.#reader.u32At(at + 6 + 4 * i))).join(', ');
  }

  #compound(at: number, kind: number): { name: string; size: number; fields: number; isForward: boolean } {
    const reader = this.#reader;
    const sizeAt = kind === LF.UNION ? at + 10 : at + 18;
    const { value, end } = this.#number(sizeAt);
    return {
      name: reader.cStringAt(end),
      size: value,
      fields: reader.u32At(at + 6),
      isForward: (reader.u16At(at + 4) & FORWARD_REFERENCE) !== 0,
    };
  }

  /** What of a field list decides where things are: members, base classes, bit-fields, the virtual function table. */
  #members(index: number): string {
    const start = this.#at(index);
    if (start === undefined || this.#reader.u16At(start) !== LF.FIELDLIST) return '';
    const reader = this.#reader;
    const end = start + reader.u16At(start - 2);
    const members: string[] = [];
    for (let at = start + 2; at < end; ) {
      const pad = reader.u8At(at);
      if (pad >= 0xf0) {
        at += pad & 0xf;
        continue;
      }
      const kind = reader.u16At(at);
      const type = () => this.name(reader.u32At(at + 4));
      switch (kind) {
        case LF.MEMBER: {
          const offset = this.#number(at + 8);
          const { text, next } = this.#cString(offset.end);
          members.push(`+${offset.value} ${type()} ${text}`);
          at = next;
          break;
        }
        case LF.BCLASS: {
          const offset = this.#number(at + 8);
          members.push(`+${offset.value} ${type()}`);
          at = offset.end;
          break;
        }
        case LF.VFUNCTAB:
          members.push('virtual function table');
          at += 8;
          break;
        case LF.ENUMERATE:
          at = this.#cString(this.#number(at + 4).end).next;
          break;
        case LF.METHOD: {
          const { text, next } = this.#cString(at + 8);
          members.push(...this.#virtuals(reader.u32At(at + 4), text));
          at = next;
          break;
        }
        case LF.STMEMBER:
        case LF.NESTTYPE:
          at = this.#cString(at + 8).next;
          break;
        case LF.ONEMETHOD: {
          const isIntroducing = isIntroducingVirtual(reader.u16At(at + 2));
          const { text, next } = this.#cString(at + (isIntroducing ? 12 : 8));
          if (isIntroducing) members.push(`virtual [${reader.u32At(at + 8)}] ${type()} ${text}`);
          at = next;
          break;
        }
        case LF.INDEX:
          members.push(this.#members(reader.u32At(at + 4)));
          at += 8;
          break;
        default:
          return [...members, `leaf 0x${kind.toString(16)}`].join(', ');
      }
    }
    return members.join(', ');
  }

  /** Of overloaded methods those that add a slot to the virtual function table. */
  #virtuals(list: number, name: string): string[] {
    const start = this.#at(list);
    if (start === undefined || this.#reader.u16At(start) !== LF.METHODLIST) return [];
    const reader = this.#reader;
    const end = start + reader.u16At(start - 2);
    const found: string[] = [];
    for (let at = start + 2; at + 8 <= end; ) {
      const isIntroducing = isIntroducingVirtual(reader.u16At(at));
      if (isIntroducing)
        found.push(`virtual [${reader.u32At(at + 8)}] ${this.name(reader.u32At(at + 4))} ${name}`);
      at += isIntroducing ? 12 : 8;
    }
    return found;
  }

  #enumerators(index: number): Map<string, bigint> {
    const values = new Map<string, bigint>();
    const start = this.#at(index);
    if (start === undefined || this.#reader.u16At(start) !== LF.FIELDLIST) return values;
    const reader = this.#reader;
    const end = start + reader.u16At(start - 2);
    for (let at = start + 2; at + 4 <= end; ) {
      const pad = reader.u8At(at);
      if (pad >= 0xf0) {
        at += pad & 0xf;
        continue;
      }
      if (reader.u16At(at) === LF.INDEX) {
        for (const [name, value] of this.#enumerators(reader.u32At(at + 4))) values.set(name, value);
        at += 8;
        continue;
      }
      if (reader.u16At(at) !== LF.ENUMERATE) break;
      const { value, end: textAt } = this.#number(at + 4);
      const { text, next } = this.#cString(textAt);
      values.set(text, BigInt(value));
      at = next;
    }
    return values;
  }

  #at(index: number): number | undefined {
    return this.#offsets[index - this.#first];
  }

  #cString(at: number): { text: string; next: number } {
    const text = this.#reader.cStringAt(at);
    return { text, next: at + new TextEncoder().encode(text).length + 1 };
  }

  /** A numeric leaf: the value itself below 0x8000, else its kind and the value behind it. */
  #number(at: number): { value: number; end: number } {
    const reader = this.#reader;
    const first = reader.u16At(at);
    if (first < 0x8000) return { value: first, end: at + 2 };
    switch (first) {
      case 0x8000:
        return { value: (reader.u8At(at + 2) << 24) >> 24, end: at + 3 };
      case 0x8001:
        return { value: (reader.u16At(at + 2) << 16) >> 16, end: at + 4 };
      case 0x8002:
        return { value: reader.u16At(at + 2), end: at + 4 };
      case 0x8003:
        return { value: reader.i32At(at + 2), end: at + 6 };
      case 0x8004:
        return { value: reader.u32At(at + 2), end: at + 6 };
      default:
        return { value: Number(reader.u64At(at + 2)), end: at + 10 };
    }
  }
}

/** CV_fldattr_t.mprop: introducing virtual, pure introducing virtual. */
function isIntroducingVirtual(attributes: number): boolean {
  return INTRODUCING_VIRTUAL.has((attributes >> 2) & 7);
}
