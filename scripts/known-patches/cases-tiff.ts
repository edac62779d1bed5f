import { createHash } from 'node:crypto';
import type { CalledLibrary } from './caller.js';
import type { KnownCase } from './cases.js';

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex').slice(0, 12);
const TAG = {
  width: 256,
  height: 257,
  bits: 258,
  compression: 259,
  photometric: 262,
  samples: 277,
  rowsPerStrip: 278,
  planar: 284,
};

/** Writes a picture with the library itself and opens it again. */
function picture(t: CalledLibrary, width: number, height: number): bigint {
  const path = t.put('C:\\picture.tif');
  const out = t.call('TIFFOpen', path, 'w');
  const set = (tag: number, value: number) => t.call('TIFFSetField', out, tag, value);
  set(TAG.width, width);
  set(TAG.height, height);
  set(TAG.bits, 8);
  set(TAG.samples, 1);
  set(TAG.compression, 1);
  set(TAG.photometric, 1);
  set(TAG.planar, 1);
  set(TAG.rowsPerStrip, 4);
  for (let row = 0; row < height; row++)
    t.call(
      'TIFFWriteScanline',
      out,
      t.put(Uint8Array.from({ length: width }, (_, x) => (x + row * 3) & 0xff)),
      row,
      0,
    );
  t.call('TIFFClose', out);
  return t.call('TIFFOpen', path, 'r');
}

/** Reads into a block of the library's heap, whose bounds are checked. */
function readImage(t: CalledLibrary, width: number, height: number, into: number): string {
  const tiff = picture(t, width, height);
  const raster = t.call('_TIFFmalloc', width * into * 4);
  t.write(raster, new Uint8Array(width * into * 4));
  const done = t.int('TIFFReadRGBAImage', tiff, width, into, raster, 0);
  return `${done} ${digest(t.read(raster, width * into * 4))}`;
}

function readStrip(t: CalledLibrary, row: number): string {
  const tiff = picture(t, 64, 8);
  const raster = t.call('_TIFFmalloc', 64 * 4 * 4);
  t.write(raster, new Uint8Array(64 * 4 * 4));
  const done = t.int('TIFFReadRGBAStrip', tiff, row, raster);
  return `${done} ${digest(t.read(raster, 64 * 4 * 4))}`;
}

export const tiff: Record<string, KnownCase> = {
  // A row beyond the picture was read.
  'CVE-2023-52356.patch': {
    crafted: (t) => readStrip(t, 12),
    ordinary: (t) => readStrip(t, 4),
  },
  // A raster with fewer rows than the picture was written to before its beginning.
  'CVE-2025-9900.patch': {
    crafted: (t) => readImage(t, 2048, 8, 2),
    ordinary: (t) => readImage(t, 64, 8, 8),
  },
};
