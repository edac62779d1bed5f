import fc from 'fast-check';
import {
  HOT_PATCH_CHUNK,
  HOT_PATCH_KINDS,
  type HotPatchBaseInput,
  type HotPatchChunkInput,
  type HotPatchTableInput,
  type HotPatchVersion,
} from '../../image/index.js';

const u32 = fc.integer({ min: 0, max: 0xffffffff }).map((value) => value >>> 0);
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

function chunk(extraPatchSize: number): fc.Arbitrary<HotPatchChunkInput> {
  const record = fc.record({ rva: u32, target: u32, originalBytes: bytes(4 * extraPatchSize) });
  return fc
    .record({
      direction: fc.constantFrom('forward' as const, 'backward' as const),
      type: fc.constantFrom(...HOT_PATCH_KINDS),
      obligatory: fc.boolean(),
      reserved: u32.map((value) => value & HOT_PATCH_CHUNK.RESERVED),
      records: fc.array(record, { maxLength: 8 }),
    })
    .filter(({ type, direction, records, obligatory, reserved }) => {
      const header = type !== 'NONE' || direction !== 'forward' || obligatory || reserved !== 0;
      return header || records.length > 0;
    });
}

function base(extraPatchSize: number): fc.Arbitrary<HotPatchBaseInput> {
  const hashes = fc.record({ sha256: bytes(32), sha1: bytes(20) });
  return fc.record(
    {
      sequenceNumber: u32,
      flags: u32,
      originalTimeDateStamp: u32,
      originalCheckSum: u32,
      bufferOffset: u32,
      chunks: fc.array(chunk(extraPatchSize), { maxLength: 6 }),
      hashes,
    },
    {
      requiredKeys: [
        'sequenceNumber',
        'flags',
        'originalTimeDateStamp',
        'originalCheckSum',
        'bufferOffset',
        'chunks',
      ],
    },
  );
}

/** Any table that a version can hold, whether Windows would take it or not. */
export const hotPatchTables: fc.Arbitrary<HotPatchTableInput> = fc
  .tuple(fc.constantFrom<HotPatchVersion>(1, 2, 3, 4), fc.integer({ min: 0, max: 4 }))
  .chain(([version, wantedExtra]) => {
    const extraPatchSize = version >= 3 ? wantedExtra : 0;
    const since = (first: number) => (version >= first ? u32 : fc.constant(0));
    return fc.record({
      version: fc.constant(version),
      sequenceNumber: u32,
      bufferOffset: since(2),
      extraPatchSize: fc.constant(extraPatchSize),
      minSequenceNumber: since(4),
      flags: since(4),
      bases: fc.array(base(extraPatchSize), { maxLength: 3 }),
    });
  });
