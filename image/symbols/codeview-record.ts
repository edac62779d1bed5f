import type { ByteReader } from '../reader.js';
import { hex } from '../text.js';

/** Access to the fields of one record; offsets count from behind the kind, as in cvinfo.h's structures. */
export class CodeViewRecord {
  readonly at: number;
  readonly length: number;
  readonly #reader: ByteReader;
  readonly #data: number;

  constructor(reader: ByteReader, at: number) {
    this.at = at;
    this.length = reader.u16At(at) - 2;
    this.#reader = reader;
    this.#data = at + 4;
  }

  u8(offset: number): number {
    return this.#reader.u8At(this.#within(offset, 1));
  }

  u16(offset: number): number {
    return this.#reader.u16At(this.#within(offset, 2));
  }

  u32(offset: number): number {
    return this.#reader.u32At(this.#within(offset, 4));
  }

  i32(offset: number): number {
    return this.#reader.i32At(this.#within(offset, 4));
  }

  place(offset: number): { section: number; offset: number } {
    return { section: this.u16(offset + 4), offset: this.u32(offset) };
  }

  /** Everything from `offset` to the end of the record. */
  rest(offset: number): Uint8Array {
    return this.#reader.bytesAt(this.#within(offset, 0), this.length - offset);
  }

  /** A string; one that reaches to the end of the record needs no NUL. */
  name(offset: number): string {
    const rest = this.rest(offset);
    const end = rest.indexOf(0);
    return utf8.decode(end < 0 ? rest : rest.subarray(0, end));
  }

  #within(offset: number, size: number): number {
    if (offset + size > this.length) {
      throw this.#reader.error(
        'codeview.record',
        `a symbol record of ${hex(this.length)} bytes is too short`,
        this.at,
      );
    }
    return this.#data + offset;
  }
}

const utf8 = new TextDecoder('utf-8');
