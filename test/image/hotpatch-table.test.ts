import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  encodeHotPatchTable,
  type HotPatchTable,
  type HotPatchTableInput,
  ImageError,
  readHotPatchTable,
  recordExtent,
} from '../../image/index.js';
import { hotPatchTables } from './hotpatch-arbitraries.js';

/** A table as text, byte arrays included, so that two can be compared. */
function said(table: HotPatchTableInput | HotPatchTable): string {
  return JSON.stringify({
    version: table.version,
    sequenceNumber: table.sequenceNumber,
    bufferOffset: table.bufferOffset,
    extraPatchSize: table.extraPatchSize,
    minSequenceNumber: table.minSequenceNumber,
    flags: table.flags,
    bases: table.bases.map((base) => ({
      sequenceNumber: base.sequenceNumber,
      flags: base.flags,
      originalTimeDateStamp: base.originalTimeDateStamp,
      originalCheckSum: base.originalCheckSum,
      bufferOffset: base.bufferOffset,
      hashes: base.hashes && [Array.from(base.hashes.sha256), Array.from(base.hashes.sha1)],
      chunks: base.chunks.map((chunk) => ({
        direction: chunk.direction,
        type: chunk.type,
        obligatory: chunk.obligatory,
        reserved: chunk.reserved,
        records: chunk.records.map(({ rva, target, originalBytes }) => [
          rva,
          target,
          Array.from(originalBytes ?? []),
        ]),
      })),
    })),
  });
}

describe('round trip', () => {
  test('what is written is what is read, for thousands of tables of all versions', () => {
    fc.assert(
      fc.property(hotPatchTables, (table) => {
        expect(said(readHotPatchTable(encodeHotPatchTable(table)))).toBe(said(table));
      }),
      { numRuns: 3000 },
    );
  });

  test('a table that was read can be written again, byte for byte', () => {
    fc.assert(
      fc.property(hotPatchTables, (table) => {
        const bytes = encodeHotPatchTable(table);
        expect(Buffer.from(encodeHotPatchTable(readHotPatchTable(bytes)))).toEqual(Buffer.from(bytes));
      }),
      { numRuns: 1000 },
    );
  });

  test('a table cut short anywhere is an ImageError, never part of a table', () => {
    fc.assert(
      fc.property(hotPatchTables, fc.nat(), (table, cut) => {
        const bytes = encodeHotPatchTable(table);
        expect(() => readHotPatchTable(bytes.subarray(0, cut % bytes.length))).toThrow(ImageError);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('bytes', () => {
  test('version 4, one forward function, one backward pointer, as section 1.4 to 1.6 of the format lays them out', () => {
    const bytes = encodeHotPatchTable({
      version: 4,
      sequenceNumber: 7,
      extraPatchSize: 1,
      minSequenceNumber: 2,
      flags: 1,
      bases: [
        {
          sequenceNumber: 7,
          flags: 0x12,
          originalTimeDateStamp: 0x11223344,
          originalCheckSum: 0xa190,
          chunks: [
            { direction: 'backward', type: 'ABSOLUTE', records: [{ rva: 0x2000, target: 0x3058 }] },
            {
              direction: 'forward',
              type: 'FUNCTION',
              records: [
                { rva: 0x10f0, target: 0x1320, originalBytes: Uint8Array.of(0x66, 0x90, 0x56, 0x57) },
              ],
            },
          ],
        },
      ],
    });
    const dwords = Array.from(new Uint32Array(bytes.buffer), (value) => value.toString(16));
    expect(dwords.join(' ')).toBe(
      [
        '4 6c 7 24 1 0 1 2 1', // IMAGE_HOT_PATCH_INFO
        '28', // offset of the base
        '7 12 11223344 a190 0 0 48 0', // IMAGE_HOT_PATCH_BASE
        '8002c001 2000 3058 0',
        '1c001 10f0 1320 57569066',
        '0',
      ].join(' '),
    );
  });

  test.each([
    [1, 0x14],
    [2, 0x18],
    [3, 0x1c],
    [4, 0x24],
  ] as const)('version %i: the list of bases begins at 0x%s', (version, size) => {
    const table = readHotPatchTable(encodeHotPatchTable({ version, sequenceNumber: 1, bases: [] }));
    expect(table).toMatchObject({ version, baseImageList: size, size });
  });

  test('4,096 records become two chunks of one kind', () => {
    const records = Array.from({ length: 0x1000 }, (_, i) => ({ rva: 16 * i, target: i }));
    const { bases } = readHotPatchTable(
      encodeHotPatchTable({
        sequenceNumber: 1,
        bases: [
          {
            originalTimeDateStamp: 0,
            originalCheckSum: 0,
            chunks: [{ direction: 'forward', type: 'FUNCTION', records }],
          },
        ],
      }),
    );
    expect(bases[0]?.chunks.map((chunk) => chunk.records.length)).toEqual([0xfff, 1]);
    expect(bases[0]?.chunks[1]?.records[0]).toMatchObject({ rva: 0xfff0, target: 0xfff });
  });
});

describe('the bytes that Windows locks for a record', () => {
  test.each([
    ['FUNCTION', 'x64', { rva: 0x0ffa, length: 8 }],
    ['FUNCTION', 'x86', { rva: 0x0ffa, length: 8 }],
    ['FUNCTION', 'arm64', { rva: 0x1000, length: 8 }],
    ['ABSOLUTE', 'x64', { rva: 0x1000, length: 8 }],
    ['ABSOLUTE', 'x86', { rva: 0x1000, length: 4 }],
    ['INDIRECT', 'arm64', { rva: 0x1000, length: 8 }],
    ['CALL_TARGET', 'x86', { rva: 0x1000, length: 4 }],
    ['DYNAMIC_VALUE', 'x64', { rva: 0x1000, length: 8 }],
    ['REL32', 'x64', { rva: 0x1000, length: 4 }],
    ['NONE', 'x64', undefined],
    ['NO_CALL_TARGET', 'x64', undefined],
  ] as const)('%s on %s', (type, architecture, extent) => {
    expect(recordExtent(architecture, type, 0x1000)).toEqual(extent);
  });
});

test('bases that share one stream again and again are refused, not multiplied', () => {
  const BASES = 2000;
  const table = new Uint32Array(9 + BASES + 8 + 2 * 4095 + 2);
  const base = 4 * (9 + BASES);
  table.set([4, 4 * table.length, 1, 36, BASES]);
  table.fill(base, 9, 9 + BASES);
  table.set([1, 0, 0, 0, 0, 0, base + 32, 0, 0x8002cfff], base / 4);
  expect(() => readHotPatchTable(new Uint8Array(table.buffer))).toThrow(
    /more entries than a file of this length can hold/,
  );
});

describe('what cannot be written is refused', () => {
  const base = { originalTimeDateStamp: 0, originalCheckSum: 0 };
  const oneRecord = (record: {
    rva: number;
    target: number;
    originalBytes?: Uint8Array;
  }): HotPatchTableInput => ({
    sequenceNumber: 1,
    bases: [{ ...base, chunks: [{ direction: 'forward', type: 'FUNCTION', records: [record] }] }],
  });
  const cases: readonly [string, HotPatchTableInput, RegExp][] = [
    [
      'a field that the version lacks',
      { version: 1, sequenceNumber: 1, bufferOffset: 4, bases: [] },
      /no bufferOffset; it came with version 2/,
    ],
    ['flags before version 4', { version: 3, sequenceNumber: 1, flags: 1, bases: [] }, /no flags/],
    [
      'a number beyond 32 bits',
      oneRecord({ rva: 2 ** 32, target: 0 }),
      /base 0, chunk 0, record 0.*unsigned 32-bit/,
    ],
    [
      'more original bytes than ExtraPatchSize holds',
      oneRecord({ rva: 16, target: 0, originalBytes: new Uint8Array(4) }),
      /has room for 0/,
    ],
    [
      'an empty chunk that would end the stream',
      {
        sequenceNumber: 1,
        bases: [{ ...base, chunks: [{ direction: 'forward', type: 'NONE', records: [] }] }],
      },
      /would end the stream/,
    ],
  ];
  test.each(cases)('%s', (_, input, message) => {
    expect(() => encodeHotPatchTable(input)).toThrow(message);
    expect(() => encodeHotPatchTable(input)).toThrow(ImageError);
  });
});
