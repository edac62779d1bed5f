import type { Victim } from '../victim.js';

/** `z_stream` and `gz_header` of zlib.h where `unsigned long` has 32 bits: offsets with pointers of 8 and of 4 bytes. */
const LAYOUT = {
  8: {
    size: 88,
    nextIn: 0,
    availIn: 8,
    nextOut: 16,
    availOut: 24,
    header: { size: 72, extra: 16, extraLen: 24, extraMax: 28, done: 64 },
  },
  4: {
    size: 56,
    nextIn: 0,
    availIn: 4,
    nextOut: 12,
    availOut: 16,
    header: { size: 52, extra: 16, extraLen: 20, extraMax: 24, done: 48 },
  },
} as const;

export const Z_OK = 0;
export const Z_STREAM_END = 1;
const GZIP = 31;

/** A stream that the guest's zlib inflates, piece by piece. */
export class InflateStream {
  readonly #layout: (typeof LAYOUT)[4 | 8];
  readonly #stream: bigint;
  readonly #pointerSize: 4 | 8;
  readonly #output: bigint;
  #header: bigint | undefined;

  constructor(
    private readonly victim: Victim,
    readonly outputSize: number,
  ) {
    this.#pointerSize = victim.base.image.pointerSize;
    this.#layout = LAYOUT[this.#pointerSize];
    this.#stream = victim.put(new Uint8Array(this.#layout.size));
    this.#output = victim.put(new Uint8Array(outputSize));
    this.#setPointer(this.#stream + BigInt(this.#layout.nextOut), this.#output);
    this.#setInt(this.#stream + BigInt(this.#layout.availOut), outputSize);
    const started = victim.call('inflateInit2_', this.#stream, GZIP, victim.put('1.2.11'), this.#layout.size);
    if (started !== Z_OK) throw new Error(`inflateInit2_ returned ${started}`);
  }

  /** Asks for the gzip header, with room for `extraMax` bytes of its extra field at the end of a page. */
  wantHeader(extraMax: number): void {
    const { header } = this.#layout;
    this.#header = this.victim.put(new Uint8Array(header.size));
    const page = this.victim.put(new Uint8Array(0x1000));
    this.#setPointer(this.#header + BigInt(header.extra), page + 0x1000n - BigInt(extraMax));
    this.#setInt(this.#header + BigInt(header.extraMax), extraMax);
    const asked = this.victim.call('inflateGetHeader', this.#stream, this.#header);
    if (asked !== Z_OK) throw new Error(`inflateGetHeader returned ${asked}`);
  }

  /** Puts input before the stream. */
  give(bytes: Uint8Array): void {
    this.#setPointer(this.#stream + BigInt(this.#layout.nextIn), this.victim.put(bytes));
    this.#setInt(this.#stream + BigInt(this.#layout.availIn), bytes.length);
  }

  inflate(): number | string {
    return this.victim.call('inflate', this.#stream, 0);
  }

  /** The arguments of a call to `inflate`, for a thread that is to be stopped inside. */
  get parameters(): readonly [bigint, number] {
    return [this.#stream, 0];
  }

  get output(): Uint8Array {
    const left = this.#int(this.#stream + BigInt(this.#layout.availOut));
    return this.victim.read(this.#output, this.outputSize - left);
  }

  get headerDone(): number {
    if (this.#header === undefined) throw new Error('no header was asked for');
    return this.#int(this.#header + BigInt(this.#layout.header.done));
  }

  #setInt(address: bigint, value: number): void {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    this.victim.write(address, bytes);
  }

  #int(address: bigint): number {
    return new DataView(Uint8Array.from(this.victim.read(address, 4)).buffer).getUint32(0, true);
  }

  #setPointer(address: bigint, value: bigint): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    this.victim.write(address, bytes.subarray(0, this.#pointerSize));
  }
}

/** A gzip member of `data` whose header has an extra field of `extra` bytes (RFC 1952). */
export function gzipWithExtra(
  deflated: Uint8Array,
  data: Uint8Array,
  extra: Uint8Array,
  crc: number,
): Uint8Array {
  const FEXTRA = 4;
  const head = [0x1f, 0x8b, 8, FEXTRA, 0, 0, 0, 0, 0, 3, extra.length & 0xff, extra.length >> 8];
  const tail = new Uint8Array(8);
  new DataView(tail.buffer).setUint32(0, crc, true);
  new DataView(tail.buffer).setUint32(4, data.length, true);
  return Uint8Array.from([...head, ...extra, ...deflated, ...tail]);
}
