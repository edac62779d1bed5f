import { ImageError } from '../error.js';
import { hex } from '../text.js';
import {
  CHUNK_CAPACITY,
  HASHES_SIZE,
  HOT_PATCH_BASE,
  HOT_PATCH_CHUNK,
  HOT_PATCH_INFO,
  HOT_PATCH_TYPE,
  type HotPatchChunk,
  type HotPatchHashes,
  type HotPatchVersion,
  INFO_SIZE,
  recordDwords,
} from './format.js';

/** One record of a chunk. */
export interface HotPatchRecordInput {
  /** Where in the modified image; of CALL_TARGET the new call target. */
  readonly rva: number;
  /** What it shall lead to in the other image; of DYNAMIC_VALUE an index. */
  readonly target: number;
  /** At most 4 times extraPatchSize bytes; zero-filled to that length. */
  readonly originalBytes?: Uint8Array;
}

/** Records of one kind and direction. */
export type HotPatchChunkInput = Pick<HotPatchChunk, 'direction' | 'type'> & {
  readonly obligatory?: boolean;
  readonly reserved?: number;
  /** More than 0xfff records become several chunks of the same kind. */
  readonly records: readonly HotPatchRecordInput[];
};

/** One base image of a table. */
export interface HotPatchBaseInput {
  /** Default 0. */
  readonly sequenceNumber?: number;
  /** Bits of HOT_PATCH_BASE_FLAG. Default 0. */
  readonly flags?: number;
  /** FileHeader.TimeDateStamp of the base image. */
  readonly originalTimeDateStamp: number;
  /** OptionalHeader.CheckSum of the base image. */
  readonly originalCheckSum: number;
  /** Digests of the base. Default: none. */
  readonly hashes?: HotPatchHashes;
  /** Default 0. */
  readonly bufferOffset?: number;
  /** Its chunks, in order. */
  readonly chunks: readonly HotPatchChunkInput[];
}

/** What a table says, without the offsets that the encoder chooses. A HotPatchTable that was read is one. */
export interface HotPatchTableInput {
  /** Default 4. */
  readonly version?: HotPatchVersion;
  /** A newer patch of the same base has a higher one. */
  readonly sequenceNumber: number;
  /** Default 0. */
  readonly bufferOffset?: number;
  /** Dwords of original bytes in each record. Default 0. */
  readonly extraPatchSize?: number;
  /** Default 0. */
  readonly minSequenceNumber?: number;
  /** Bits of HOT_PATCH_INFO_FLAG. Default 0. */
  readonly flags?: number;
  /** The base images that it is for; usually one. */
  readonly bases: readonly HotPatchBaseInput[];
}

/** The first version that has each field of IMAGE_HOT_PATCH_INFO (winnt.h). */
const since = { bufferOffset: 2, extraPatchSize: 3, minSequenceNumber: 4, flags: 4 } as const;

/**
 * Encodes a hotpatch table: IMAGE_HOT_PATCH_INFO, the list of base offsets, each IMAGE_HOT_PATCH_BASE, their hashes,
 * their chunk streams. Reading the result gives the input back.
 * @throws ImageError when the version cannot hold a field, or a value does not fit
 */
export function encodeHotPatchTable(input: HotPatchTableInput): Uint8Array {
  const version = input.version ?? 4;
  for (const [field, first] of Object.entries(since) as [keyof typeof since, number][]) {
    if ((input[field] ?? 0) !== 0 && version < first) {
      throw unencodable('', `version ${version} has no ${field}; it came with version ${first}`);
    }
  }
  const extraPatchSize = input.extraPatchSize ?? 0;
  const width = recordDwords({ version, extraPatchSize });

  const infoSize = INFO_SIZE[version];
  const basesAt = infoSize + 4 * input.bases.length;
  const hashesAt = basesAt + HOT_PATCH_BASE.size * input.bases.length;
  const withHashes = input.bases.filter((base) => base.hashes !== undefined).length;
  const streamsAt = hashesAt + HASHES_SIZE * withHashes;
  const streams = input.bases.map((base, i) => encodeChunks(base.chunks, width, `base ${i}`));
  const size = streams.reduce((sum, stream) => sum + stream.byteLength, streamsAt);

  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  HOT_PATCH_INFO.write(bytes, 0, {
    version,
    size,
    sequenceNumber: dword(input.sequenceNumber, 'sequenceNumber'),
    baseImageList: infoSize,
    baseImageCount: input.bases.length,
    ...(version >= 2 ? { bufferOffset: dword(input.bufferOffset ?? 0, 'bufferOffset') } : {}),
    ...(version >= 3 ? { extraPatchSize } : {}),
    ...(version >= 4
      ? {
          minSequenceNumber: dword(input.minSequenceNumber ?? 0, 'minSequenceNumber'),
          flags: dword(input.flags ?? 0, 'flags'),
        }
      : {}),
  });

  let hashes = hashesAt;
  let patchTable = streamsAt;
  for (const [i, base] of input.bases.entries()) {
    const at = basesAt + HOT_PATCH_BASE.size * i;
    view.setUint32(infoSize + 4 * i, at, true);
    HOT_PATCH_BASE.write(bytes, at, {
      sequenceNumber: dword(base.sequenceNumber ?? input.sequenceNumber, `base ${i}, sequenceNumber`),
      flags: dword(base.flags ?? 0, `base ${i}, flags`),
      originalTimeDateStamp: dword(base.originalTimeDateStamp, `base ${i}, originalTimeDateStamp`),
      originalCheckSum: dword(base.originalCheckSum, `base ${i}, originalCheckSum`),
      ...(base.hashes === undefined ? {} : { codeIntegrityInfo: hashes, codeIntegritySize: HASHES_SIZE }),
      patchTable,
      bufferOffset: dword(base.bufferOffset ?? 0, `base ${i}, bufferOffset`),
    });
    if (base.hashes !== undefined) {
      if (base.hashes.sha256.length !== 32 || base.hashes.sha1.length !== 20) {
        throw unencodable(`base ${i}, hashes`, 'SHA-256 has 32 bytes and SHA-1 has 20');
      }
      bytes.set(base.hashes.sha256, hashes);
      bytes.set(base.hashes.sha1, hashes + 32);
      hashes += HASHES_SIZE;
    }
    const stream = streams[i];
    if (stream === undefined) continue;
    bytes.set(new Uint8Array(stream.buffer), patchTable);
    patchTable += stream.byteLength;
  }
  return bytes;
}

function encodeChunks(chunks: readonly HotPatchChunkInput[], width: number, place: string): Uint32Array {
  let dwords = 1;
  for (const { records } of chunks) {
    dwords += Math.max(1, Math.ceil(records.length / CHUNK_CAPACITY)) + records.length * width;
  }
  const stream = new Uint32Array(dwords);
  const bytes = new Uint8Array(stream.buffer);
  const view = new DataView(stream.buffer);
  let at = 0;
  for (const [i, chunk] of chunks.entries()) {
    const here = `${place}, chunk ${i}`;
    const reserved = chunk.reserved ?? 0;
    if ((reserved & ~HOT_PATCH_CHUNK.RESERVED) !== 0)
      throw unencodable(here, `${hex(reserved)} has bits outside RESERVED`);
    const head =
      HOT_PATCH_TYPE[chunk.type] |
      reserved |
      (chunk.direction === 'backward' ? HOT_PATCH_CHUNK.INVERSE : 0) |
      (chunk.obligatory ? HOT_PATCH_CHUNK.OBLIGATORY : 0);
    if (head === 0 && chunk.records.length === 0) {
      throw unencodable(here, 'an empty forward NONE chunk would end the stream');
    }
    for (let start = 0; start === 0 || start < chunk.records.length; start += CHUNK_CAPACITY) {
      const part = chunk.records.slice(start, start + CHUNK_CAPACITY);
      view.setUint32(at, (head | part.length) >>> 0, true);
      at += 4;
      for (const [j, record] of part.entries()) {
        const where = `${here}, record ${start + j}`;
        const original = record.originalBytes;
        view.setUint32(at, dword(record.rva, where), true);
        view.setUint32(at + 4, dword(record.target, where), true);
        if (original !== undefined) {
          if (original.length > 4 * (width - 2)) {
            throw unencodable(
              where,
              `${original.length} original bytes, ExtraPatchSize has room for ${4 * (width - 2)}`,
            );
          }
          bytes.set(original, at + 8);
        }
        at += 4 * width;
      }
    }
  }
  return stream;
}

function dword(value: number, place: string): number {
  if (Number.isInteger(value) && value >= 0 && value <= 0xffffffff) return value;
  throw unencodable(place, `${value} is not an unsigned 32-bit number`);
}

function unencodable(place: string, message: string): ImageError {
  return new ImageError({
    rule: 'hotPatch.encode',
    status: 'STATUS_INVALID_PARAMETER',
    place: place === '' ? 'hotpatch table input' : `hotpatch table input, ${place}`,
    message,
  });
}
