import { ImageError } from './error.js';
import type { ImageRule } from './rules.js';
import { hex, latin1 } from './text.js';

const utf8 = new TextDecoder('utf-8');

/**
 * A bounds-checked little-endian view of one structure or stream.
 * Offsets are relative to the view; an access past its end throws an ImageError (rule `truncated`) that
 * names the view and the offset. `…At(offset)` reads anywhere, the methods without `At` read at `position`
 * and move it.
 */
export class ByteReader {
  /** What the view is on. */
  readonly bytes: Uint8Array;
  /** What the bytes are, as errors call them. */
  readonly place: string;
  /** What errors call the file. */
  readonly file: string | undefined;
  /** Offset that the methods without `At` read at. */
  position = 0;
  readonly #view: DataView;

  /** @param place what the bytes are, as errors shall call them: `optional header`, `PDB stream 3`. */
  constructor(bytes: Uint8Array, place: string, file?: string) {
    this.bytes = bytes;
    this.place = place;
    this.file = file;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Bytes of the view. */
  get length(): number {
    return this.bytes.length;
  }

  /** Bytes from the position to the end. */
  get remaining(): number {
    return this.bytes.length - this.position;
  }

  /** Unsigned, 8 bits. */
  u8At(offset: number): number {
    this.need(offset, 1);
    return this.#view.getUint8(offset);
  }

  /** Unsigned, 16 bits. */
  u16At(offset: number): number {
    this.need(offset, 2);
    return this.#view.getUint16(offset, true);
  }

  /** Unsigned, 32 bits. */
  u32At(offset: number): number {
    this.need(offset, 4);
    return this.#view.getUint32(offset, true);
  }

  /** Signed, 32 bits. */
  i32At(offset: number): number {
    this.need(offset, 4);
    return this.#view.getInt32(offset, true);
  }

  /** Unsigned, 64 bits. */
  u64At(offset: number): bigint {
    this.need(offset, 8);
    return this.#view.getBigUint64(offset, true);
  }

  /** A view on the bytes, not a copy. */
  bytesAt(offset: number, length: number): Uint8Array {
    this.need(offset, length);
    return this.bytes.subarray(offset, offset + length);
  }

  /** A NUL-terminated string; the NUL must be inside the view and within `limit` bytes. */
  cStringAt(offset: number, limit = 0x10000, encoding: 'latin1' | 'utf-8' = 'latin1'): string {
    this.need(offset, 1);
    const end = this.bytes.indexOf(0, offset);
    if (end < 0 || end - offset > limit) throw this.error('string', `no end of string found`, offset);
    const text = this.bytes.subarray(offset, end);
    return encoding === 'latin1' ? latin1(text) : utf8.decode(text);
  }

  /** A part of this view under a name of its own. */
  slice(offset: number, length: number, place: string): ByteReader {
    return new ByteReader(this.bytesAt(offset, length), place, this.file);
  }

  /** Unsigned, 8 bits. */
  u8(): number {
    const value = this.u8At(this.position);
    this.position += 1;
    return value;
  }

  /** Unsigned, 16 bits. */
  u16(): number {
    const value = this.u16At(this.position);
    this.position += 2;
    return value;
  }

  /** Unsigned, 32 bits. */
  u32(): number {
    const value = this.u32At(this.position);
    this.position += 4;
    return value;
  }

  /** Signed, 32 bits. */
  i32(): number {
    const value = this.i32At(this.position);
    this.position += 4;
    return value;
  }

  /** Unsigned, 64 bits. */
  u64(): bigint {
    const value = this.u64At(this.position);
    this.position += 8;
    return value;
  }

  /** A view on the next bytes, not a copy. */
  take(length: number): Uint8Array {
    const bytes = this.bytesAt(this.position, length);
    this.position += length;
    return bytes;
  }

  /** A NUL-terminated string; see {@link cStringAt}. */
  cString(limit?: number, encoding?: 'latin1' | 'utf-8'): string {
    const start = this.position;
    const text = this.cStringAt(start, limit, encoding);
    this.position = this.bytes.indexOf(0, start) + 1;
    return text;
  }

  /** Moves the position by bytes that must exist. */
  skip(length: number): void {
    this.need(this.position, length);
    this.position += length;
  }

  /** Moves the position to the next multiple. */
  align(to: number): void {
    this.position = Math.ceil(this.position / to) * to;
  }

  /** Throws unless `length` bytes at `offset` exist. */
  need(offset: number, length: number): void {
    if (!(offset >= 0 && length >= 0 && offset + length <= this.bytes.length)) {
      throw this.error(
        'truncated',
        `${hex(length)} bytes needed, the ${this.place} has ${hex(this.bytes.length)}`,
        offset,
      );
    }
  }

  /** An ImageError that points at `offset` of this view. */
  error(rule: ImageRule, message: string, offset = this.position): ImageError {
    return new ImageError({ rule, message, place: `${this.place} +${hex(offset)}`, file: this.file });
  }
}
