import { describe, expect, test } from 'vitest';
import { richImage } from '../../campaign/fuzz/rich-image.js';
import { ImageBuilder, ImageError, readImage } from '../../image/index.js';
import { errorOf } from './error-of.js';

const good = richImage('x64');
const { headers } = good.image;
const OPTIONAL = headers.optionalHeaderOffset;
const SECTIONS = headers.sectionTableOffset;

/** [rule, offset, 32-bit value, place] of a change of one field that no image may have. */
const changes: readonly [rule: string, offset: number, value: number, place: string | RegExp][] = [
  ['headers.dosSignature', 0, 0x4d5a, 'DOS header +0x0'],
  ['headers.signature', 0x3c, 0x7fffffff, 'DOS header +0x3c'],
  ['headers.magic', OPTIONAL, 0x107, 'optional header +0x0'],
  ['headers.sectionAlignment', OPTIONAL + 32, 0x1001, 'optional header +0x20'],
  ['headers.sectionAlignment', OPTIONAL + 32, 0x100, 'optional header +0x20'],
  ['headers.fileAlignment', OPTIONAL + 36, 0, 'optional header +0x24'],
  ['headers.sizeOfImage', OPTIONAL + 56, 0x100, 'optional header +0x38'],
  ['headers.sizeOfHeaders', OPTIONAL + 60, 0x10000000, 'optional header +0x3c'],
  ['sections.alignment', SECTIONS + 12, 0x1010, 'section 1 (.text) +0xc'],
  ['sections.order', SECTIONS + 40 + 12, 0x1000, 'section 2 (.rdata) +0xc'],
  ['sections.sizeOfImage', SECTIONS + 8, 0xffff0000, 'section 1 (.text) +0xc'],
  ['sections.rawData', SECTIONS + 20, 0x00ff0000, 'section 1 (.text) +0x14'],
];

describe('headers that no image may have', () => {
  test.each(changes)('%s', (rule, offset, value, place) => {
    const bytes = good.bytes.slice();
    new DataView(bytes.buffer).setUint32(offset, value, true);
    const error = errorOf(() => readImage(bytes, { file: 'broken.sys' }));
    expect(error).toMatchObject({ rule, file: 'broken.sys' });
    expect(error.place).toMatch(place);
    expect(error.message).toContain('broken.sys: ');
  });

  test('a file that is not MZ has a status of its own', () => {
    expect(errorOf(() => readImage(new TextEncoder().encode('#!/bin/sh'))).status).toEqual({
      name: 'STATUS_INVALID_IMAGE_NOT_MZ',
      value: 0xc000012f,
    });
  });

  test.each([0, 1, 0x3f, 0x40, 0x44, 0x58, 0x100, 0x150])('cut after %i bytes', (length) => {
    expect(() => readImage(good.bytes.subarray(0, length))).toThrow(ImageError);
  });
});

describe('memory', () => {
  const { image } = good;

  test('every kind of RVA: headers, file data, zero fill, past the end', () => {
    expect(Array.from(image.read(0, 2))).toEqual([0x4d, 0x5a]);
    expect(Array.from(image.read(good.rva('counter'), 4))).toEqual([1, 2, 3, 4]);
    expect(image.read(good.rva('zeros'), 0x3000).every((byte) => byte === 0)).toBe(true);
    expect(image.rvaToOffset(good.rva('zeros') + 0x2000)).toBeUndefined();
    expect(errorOf(() => image.read(image.optionalHeader.sizeOfImage - 1, 2)).rule).toBe('rva');
    expect(errorOf(() => image.read(-1, 1)).rule).toBe('rva');
  });

  test('reading across the end of the file data gives zeros behind it', () => {
    const section = image.sectionAt(good.rva('counter'));
    if (section === undefined) throw new Error('no section');
    const edge = section.virtualAddress + section.fileSize;
    const bytes = image.read(edge - 8, 16);
    expect(Array.from(bytes.subarray(8))).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
    expect(Buffer.from(bytes)).toEqual(Buffer.from(image.layOut().subarray(edge - 8, edge + 8)));
  });

  test('read and layOut agree everywhere', () => {
    const memory = image.layOut();
    for (let rva = 0; rva + 0x123 < memory.length; rva += 0x123) {
      expect(Buffer.from(image.read(rva, 0x123)).equals(memory.subarray(rva, rva + 0x123))).toBe(true);
    }
  });

  test('a huge image in a small file is refused, not allocated', () => {
    const huge = new ImageBuilder('x64').code('f', [0xc3]).uninitialized('zeros', 0x3000_0000).build();
    expect(errorOf(() => huge.image.layOut())).toMatchObject({ rule: 'tooMuch' });
    expect(huge.image.read(huge.rva('zeros') + 0x2000_0000, 4)).toHaveLength(4);
  });
});

test.each(['x64', 'arm64', 'x86'] as const)(
  '%s: file offsets and RVAs lead to each other',
  (architecture) => {
    const { image } = richImage(architecture);
    for (const section of image.sections) {
      for (const rva of [section.virtualAddress, section.virtualAddress + section.fileSize - 1]) {
        const offset = image.rvaToOffset(rva);
        expect(offset).toBeDefined();
        expect(image.offsetToRva(offset ?? 0)).toBe(rva);
        expect(image.sectionAt(rva)).toBe(section);
      }
    }
  },
);
