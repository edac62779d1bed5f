import { createHash } from 'node:crypto';
import { deflateSync } from 'node:zlib';
import type { CalledLibrary } from './caller.js';
import type { KnownCase } from './cases.js';

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length);
  body.copy(out, 4);
  out.writeUInt32BE(crc32(body), body.length + 4);
  return out;
}

function crc32(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb8_8320 : 0);
  }
  return ~crc >>> 0;
}

/** The passes of Adam7: first column and row, steps. */
const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

/** An RGB picture of 8 or 16 bits a sample. */
function rgb(size: number, depth: 8 | 16, interlaced: boolean): Uint8Array {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size);
  header.writeUInt32BE(size, 4);
  header.set([depth, 2, 0, 0, interlaced ? 1 : 0], 8);
  const rows: Buffer[] = [];
  for (const [x0, y0, dx, dy] of interlaced ? ADAM7 : [[0, 0, 1, 1] as const])
    for (let y = y0; y < size; y += dy) {
      const samples: number[] = [0];
      for (let x = x0; x < size; x += dx)
        samples.push(...(depth === 16 ? [x * 7, y, y * 5, x, x + y, 1] : [x * 7, y * 5, x + y]));
      if (samples.length > 1) rows.push(Buffer.from(samples.map((value) => value & 0xff)));
    }
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.concat(rows))),
    chunk('IEND', new Uint8Array(0)),
  ]);
}

/** A picture of one row's pattern with a palette whose colours are half transparent. */
function transparentPalette(size: number): Uint8Array {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size);
  header.writeUInt32BE(size, 4);
  header.set([8, 3, 0, 0, 0], 8);
  const colours = Uint8Array.from({ length: 768 }, (_, i) => [255, 128, 7][i % 3] ?? 0);
  const alphas = Uint8Array.from({ length: 256 }, (_, i) => i);
  const rows = Array.from({ length: size }, (_, y) =>
    Buffer.from([0, ...Array.from({ length: size }, (__, x) => (x * 5 + y) & 0xff)]),
  );
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]),
    chunk('IHDR', header),
    chunk('PLTE', colours),
    chunk('tRNS', alphas),
    chunk('IDAT', deflateSync(Buffer.concat(rows))),
    chunk('IEND', new Uint8Array(0)),
  ]);
}

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex').slice(0, 12);
const PNG_IMAGE_VERSION = 1;

/** A png_image: { opaque, version, width, height, format, flags, colormap_entries, warning_or_error, message[64] }. */
function image(p: CalledLibrary, fields: Partial<Record<'width' | 'height' | 'format', number>> = {}) {
  const at = p.space(112);
  const field = (index: number) => at + BigInt(p.pointerSize + 4 * index);
  const set = (index: number, value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    p.write(field(index), bytes);
  };
  set(0, PNG_IMAGE_VERSION);
  set(1, fields.width ?? 0);
  set(2, fields.height ?? 0);
  set(3, fields.format ?? 0);
  return { at, setFormat: (value: number) => set(3, value), message: () => p.text(field(7)) };
}

/** A block of the library's own heap, whose bounds are checked. */
const block = (p: CalledLibrary, size: number) => p.call('png_malloc_base', 0, size);

/** Reads a picture as 8-bit RGB. */
function readRgb(p: CalledLibrary, file: Uint8Array, size: number, stride = size * 3, format = 2): string {
  const picture = image(p);
  const begun = p.int('png_image_begin_read_from_memory', picture.at, p.put(file), file.length);
  picture.setFormat(format); // 2: PNG_FORMAT_RGB
  const buffer = block(p, stride * size);
  p.write(buffer, new Uint8Array(stride * size));
  const done = p.int('png_image_finish_read', picture.at, 0, buffer, stride, 0);
  return `${begun} ${done} ${picture.message()} ${digest(p.read(buffer, stride * size))}`;
}

/** Writes a picture into memory. */
function write(
  p: CalledLibrary,
  format: number,
  pixels: Uint8Array,
  stride: number,
  to8bit: number,
  size: number,
): string {
  const picture = image(p, { width: size, height: size, format });
  const buffer = block(p, pixels.length);
  p.write(buffer, pixels);
  const space = p.space(0x40000);
  const length = p.put(Buffer.from([0, 0, 4, 0, 0, 0, 0, 0]));
  const done = p.int('png_image_write_to_memory', picture.at, space, length, to8bit, buffer, stride, 0);
  const bytes = Number(Buffer.from(p.read(length, 4)).readUInt32LE());
  return `${done} ${picture.message()} ${bytes} ${digest(p.read(space, bytes))}`;
}

const pattern = (size: number) => Uint8Array.from({ length: size }, (_, i) => (i * 31 + (i >> 5)) & 0xff);

/** png_struct and png_info of a reader. */
function reader(p: CalledLibrary) {
  const png = p.call('png_create_read_struct', '1.6.39', 0, 0, 0);
  return { png, info: p.call('png_create_info_struct', png) };
}

/** Offsets in png_struct, which has no other way to see them. */
const OFFSETS = {
  8: { quantizeIndex: 928n, transAlpha: 776n, palette: 624n },
  4: { quantizeIndex: 520n, transAlpha: 432n, palette: 316n },
} as const;

const palette = (count: number) => Uint8Array.from({ length: count * 3 }, (_, i) => (i * 37) & 0xff);
const PNG_FREE_PLTE = 0x1000;
const PNG_FREE_TRNS = 0x2000;

export const libpng: Record<string, KnownCase> = {
  // The index table of png_set_quantize had one entry for each colour of the palette, and pixels may name others.
  'CVE-2025-64505.patch': {
    crafted: (p) => {
      const { png } = reader(p);
      p.call('png_set_quantize', png, p.put(palette(16)), 16, 16, 0, 0);
      return `entries: ${p.readable(p.pointer(png + OFFSETS[p.pointerSize].quantizeIndex), 256)}`;
    },
    ordinary: (p) => {
      const { png } = reader(p);
      const colours = p.put(palette(256));
      p.call('png_set_quantize', png, colours, 256, 256, 0, 0);
      return digest(p.read(colours, 768));
    },
  },
  // An 8-bit picture that is converted to 8 bits was read as one of 16.
  'CVE-2025-64506.patch': {
    crafted: (p) => write(p, 2, pattern(48 * 48 * 3), 48 * 3, 1, 48),
    ordinary: (p) => write(p, 2, pattern(48 * 48 * 3), 48 * 3, 0, 48),
  },
  // Colours were composed with a background although they are premultiplied only.
  'CVE-2025-64720.patch': {
    crafted: (p) => readRgb(p, transparentPalette(32), 32, 32 * 4, 3 | 0x40),
    ordinary: (p) => readRgb(p, rgb(32, 8, false), 32, 32 * 4, 3),
  },
  // Samples that were no premultiplied ones led beyond a table.
  'CVE-2025-66293-part1.patch': {
    crafted: (p) => readRgb(p, transparentPalette(32), 32),
    ordinary: (p) => readRgb(p, rgb(32, 8, false), 32),
  },
  'CVE-2025-66293-part2.patch': {
    crafted: (p) => readRgb(p, transparentPalette(32), 32),
    ordinary: (p) => readRgb(p, rgb(32, 8, false), 32),
  },
  // Rows of 16-bit samples were combined in a buffer for 8-bit ones.
  'CVE-2025-65018-part1.patch': {
    crafted: (p) => readRgb(p, rgb(32, 16, true), 32),
    ordinary: (p) => readRgb(p, rgb(32, 8, true), 32),
  },
  'CVE-2025-65018-part2.patch': {
    crafted: (p) => readRgb(p, rgb(32, 16, true), 32),
    ordinary: (p) => readRgb(p, rgb(32, 8, true), 32),
  },
  // Rows were copied as long as the caller's are, which may be longer than the picture's.
  'CVE-2026-22695.patch': {
    crafted: (p) => readRgb(p, rgb(32, 16, true), 32, 32 * 3 + 200),
    ordinary: (p) => readRgb(p, rgb(32, 8, true), 32, 32 * 3 + 200),
  },
  // The length of a row was cut to 16 bits.
  'CVE-2026-22801.patch': {
    crafted: (p) => write(p, 6, pattern(2 * 40000 * 2), 40000, 1, 2),
    ordinary: (p) => write(p, 6, pattern(4 * 4 * 6), 12, 1, 4),
  },
  // Indices of the palette that has been sorted were used for one that has not.
  'CVE-2026-25646.patch': {
    crafted: (p) => {
      const { png } = reader(p);
      const colours = p.put(Uint8Array.from({ length: 768 }, (_, i) => ((i % 3) * 40 + (i >> 3)) & 0xff));
      p.call('png_set_quantize', png, colours, 256, 100, 0, 1);
      return digest(p.read(colours, 768));
    },
    ordinary: (p) => {
      const { png } = reader(p);
      const colours = p.put(palette(16));
      p.call('png_set_quantize', png, colours, 16, 16, 0, 1);
      return digest(p.read(colours, 48));
    },
  },
  // png_struct kept a pointer to what png_info owns.
  'CVE-2026-33416-part1.patch': {
    crafted: (p) => {
      const { png, info } = reader(p);
      p.call('png_set_tRNS', png, info, p.put(Uint8Array.of(1, 2, 3, 4)), 4, 0);
      p.call('png_free_data', png, info, PNG_FREE_TRNS, 0);
      return `left: ${p.readable(p.pointer(png + OFFSETS[p.pointerSize].transAlpha), 4)} bytes`;
    },
    ordinary: (p) => {
      const { png, info } = reader(p);
      p.call('png_set_tRNS', png, info, p.put(Uint8Array.of(1, 2, 3, 4)), 4, 0);
      return digest(p.read(p.pointer(png + OFFSETS[p.pointerSize].transAlpha), 4));
    },
  },
  // Entries beyond those that were given held whatever the heap had there.
  'CVE-2026-33416-part2.patch': {
    crafted: (p) => {
      const { png, info } = reader(p);
      p.call('png_set_tRNS', png, info, p.put(Uint8Array.of(1, 2, 3, 4)), 4, 0);
      return Buffer.from(p.read(p.pointer(png + OFFSETS[p.pointerSize].transAlpha), 12)).toString('hex');
    },
    ordinary: (p) => {
      const { png, info } = reader(p);
      p.call('png_set_tRNS', png, info, p.put(new Uint8Array(256).fill(7)), 256, 0);
      return digest(p.read(p.pointer(png + OFFSETS[p.pointerSize].transAlpha), 256));
    },
  },
  'CVE-2026-33416-part3.patch': {
    crafted: (p) => {
      const { png, info } = reader(p);
      p.call('png_set_PLTE', png, info, p.put(palette(16)), 16);
      p.call('png_free_data', png, info, PNG_FREE_PLTE, 0);
      return `left: ${p.readable(p.pointer(png + OFFSETS[p.pointerSize].palette), 48)} bytes`;
    },
    ordinary: (p) => {
      const { png, info } = reader(p);
      p.call('png_set_PLTE', png, info, p.put(palette(16)), 16);
      return digest(p.read(p.pointer(png + OFFSETS[p.pointerSize].palette), 48));
    },
  },
  // What a getter gives was freed by the setter before it was copied.
  'CVE-2026-34757-part1.patch': {
    crafted: (p) => {
      const { png, info } = reader(p);
      p.call('png_set_PLTE', png, info, p.put(palette(16)), 16);
      const [got, count] = [p.space(16), p.space(16)];
      p.call('png_get_PLTE', png, info, got, count);
      p.call('png_set_PLTE', png, info, p.pointer(got), 16);
      p.call('png_get_PLTE', png, info, got, count);
      return digest(p.read(p.pointer(got), 48));
    },
    ordinary: (p) => {
      const { png, info } = reader(p);
      p.call('png_set_PLTE', png, info, p.put(palette(16)), 16);
      p.call('png_set_PLTE', png, info, p.put(palette(8)), 8);
      const [got, count] = [p.space(16), p.space(16)];
      p.call('png_get_PLTE', png, info, got, count);
      return digest(p.read(p.pointer(got), 24));
    },
  },
  'CVE-2026-34757-part2.patch': {
    crafted: (p) => {
      const { png, info } = reader(p);
      const size = p.pointerSize === 8 ? 56 : 28;
      const entries = Buffer.alloc(size * 6);
      for (let i = 0; i < 6; i++) {
        const [key, text] = [p.put(`Key${i}`), p.put(`text ${i}`)];
        entries.writeInt32LE(-1, i * size);
        if (p.pointerSize === 8) {
          entries.writeBigUInt64LE(key, i * size + 8);
          entries.writeBigUInt64LE(text, i * size + 16);
        } else {
          entries.writeUInt32LE(Number(key), i * size + 4);
          entries.writeUInt32LE(Number(text), i * size + 8);
        }
      }
      p.call('png_set_text', png, info, p.put(entries), 6);
      const got = p.space(16);
      p.call('png_get_text', png, info, got, 0);
      p.call('png_set_text', png, info, p.pointer(got), 6);
      p.call('png_get_text', png, info, got, 0);
      const at = p.pointer(got);
      return Array.from({ length: 12 }, (_, i) =>
        p.text(p.pointer(at + BigInt(i * size + p.pointerSize))),
      ).join(' ');
    },
  },
};
