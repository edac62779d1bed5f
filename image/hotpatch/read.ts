import { Budget } from '../budget.js';
import { ImageError } from '../error.js';
import type { PeImage } from '../image.js';
import type { LoadConfig } from '../load-config.js';
import { ByteReader } from '../reader.js';
import { hex } from '../text.js';
import {
  HASHES_SIZE,
  HOT_PATCH_BASE,
  HOT_PATCH_CHUNK,
  HOT_PATCH_INFO,
  HOT_PATCH_KINDS,
  HOT_PATCH_TYPE,
  type HotPatchBase,
  type HotPatchChunk,
  type HotPatchRecord,
  type HotPatchTable,
  type HotPatchType,
  type HotPatchVersion,
  INFO_SIZE,
  recordDwords,
} from './format.js';
import { type HotPatchRuleId, hotPatchRule } from './rules.js';

const NO_BYTES = new Uint8Array(0);

/** How a table is read. */
export interface ReadHotPatchOptions {
  /** What errors call the file. */
  file?: string | undefined;
  /** How errors name the table; default `hotpatch table`. */
  place?: string;
}

/**
 * Finds and reads the hotpatch table that an image's load configuration names; undefined if there is none.
 * HotPatchTableOffset is an RVA, despite its name.
 * @throws ImageError when the table cannot be read: a version, size, offset or chunk header that cannot be
 */
export function readImageHotPatchTable(image: PeImage): HotPatchTable | undefined {
  const rva = image.loadConfig?.hotPatchTableOffset ?? 0;
  if (rva === 0) return undefined;
  return readHotPatchTable(hotPatchTableBytes(image, rva), { file: image.file });
}

/** The table's bytes in memory, from its IMAGE_HOT_PATCH_INFO on, as many as its Size field says. */
export function hotPatchTableBytes(image: PeImage, rva: number): Uint8Array {
  const { sizeOfImage } = image.optionalHeader;
  const place = `load config +${hex((image.loadConfig as LoadConfig).offsetOf('hotPatchTableOffset'))}`;
  if (rva >= 0xfffffff8 || rva + 8 > sizeOfImage) {
    throw broken(
      'hotPatch.offset',
      place,
      `HotPatchTableOffset ${hex(rva)}, SizeOfImage ${hex(sizeOfImage)}`,
      image.file,
    );
  }
  const start = image.readerAt(rva, 8, 'hotpatch table');
  const version = knownVersion(start);
  const size = start.u32At(HOT_PATCH_INFO.offsetOf('size'));
  if (size < INFO_SIZE[version]) throw sizeTooSmall(start, version, size);
  if (rva + size > sizeOfImage) {
    throw broken(
      'hotPatch.bounds',
      `hotpatch table +${hex(HOT_PATCH_INFO.offsetOf('size'))}`,
      `the table ${hex(rva)}..${hex(rva + size)} leaves the image of ${hex(sizeOfImage)} bytes`,
      image.file,
    );
  }
  return image.tableAt(rva, size, 'hotpatch table').bytes;
}

/**
 * Reads a hotpatch table from its own bytes: IMAGE_HOT_PATCH_INFO versions 1 to 4, the bases and their chunk streams.
 * Only what cannot be read is an error here; what Windows would refuse is for `validateHotPatch` to say.
 */
export function readHotPatchTable(bytes: Uint8Array, options: ReadHotPatchOptions = {}): HotPatchTable {
  const place = options.place ?? 'hotpatch table';
  const whole = new ByteReader(bytes, place, options.file);
  if (bytes.length < 8)
    throw broken('hotPatch.bounds', `${place} +0x0`, 'not even a Version and a Size', options.file);
  const version = knownVersion(whole);
  const size = whole.u32At(HOT_PATCH_INFO.offsetOf('size'));
  if (size < INFO_SIZE[version]) throw sizeTooSmall(whole, version, size);
  if (size > bytes.length) {
    throw broken(
      'hotPatch.bounds',
      `${place} +${hex(HOT_PATCH_INFO.offsetOf('size'))}`,
      `Size is ${hex(size)}, but only ${hex(bytes.length)} bytes are there`,
      options.file,
    );
  }

  const table = whole.slice(0, size, place);
  const info = HOT_PATCH_INFO.read(table, 0, INFO_SIZE[version]);
  const { baseImageList, baseImageCount } = info;
  if (baseImageList + 4 * baseImageCount > size) {
    throw broken(
      'hotPatch.baseImageList',
      `${place} +${hex(HOT_PATCH_INFO.offsetOf('baseImageList'))}`,
      `${baseImageCount} offsets at ${hex(baseImageList)} leave the table of ${hex(size)} bytes`,
      options.file,
    );
  }

  const width = 4 * recordDwords({ version, extraPatchSize: info.extraPatchSize });
  const budget = new Budget(place, 4 * size, options.file);
  const bases: HotPatchBase[] = [];
  for (let i = 0; i < baseImageCount; i++) {
    budget.spend(4);
    bases.push(readBase(table, table.u32At(baseImageList + 4 * i), i, width, budget));
  }
  const { baseImageCount: _, ...fields } = info;
  return { ...fields, version, bases };
}

function readBase(
  table: ByteReader,
  offset: number,
  index: number,
  width: number,
  budget: Budget,
): HotPatchBase {
  const place = `${table.place}, base ${index}`;
  if (offset + HOT_PATCH_BASE.size > table.length) {
    throw broken(
      'base.bounds',
      place,
      `offset ${hex(offset)}, the table has ${hex(table.length)} bytes`,
      table.file,
    );
  }
  const base = HOT_PATCH_BASE.read(table, offset);
  const at = (field: keyof typeof base) => `${place} +${hex(HOT_PATCH_BASE.offsetOf(field))}`;
  const { codeIntegrityInfo, codeIntegritySize, patchTable } = base;
  if (codeIntegrityInfo !== 0 && codeIntegrityInfo + codeIntegritySize > table.length) {
    throw broken(
      'base.codeIntegrity',
      at('codeIntegrityInfo'),
      `${hex(codeIntegritySize)} bytes at ${hex(codeIntegrityInfo)}, the table has ${hex(table.length)}`,
      table.file,
    );
  }
  if (patchTable >= table.length) {
    throw broken(
      'base.patchTable',
      at('patchTable'),
      `PatchTable ${hex(patchTable)}, Size ${hex(table.length)}`,
      table.file,
    );
  }
  const chunks = readChunks(table, patchTable, place, width, budget);
  if (codeIntegrityInfo === 0 || codeIntegritySize < HASHES_SIZE) return { ...base, chunks };
  const hashes = {
    sha256: table.bytesAt(codeIntegrityInfo, 32),
    sha1: table.bytesAt(codeIntegrityInfo + 32, 20),
  };
  return { ...base, hashes, chunks };
}

/** `header, record[SIZE], header, record[SIZE], …, 0`. */
function readChunks(
  table: ByteReader,
  start: number,
  place: string,
  width: number,
  budget: Budget,
): HotPatchChunk[] {
  const chunks: HotPatchChunk[] = [];
  let at = start;
  for (;;) {
    const here = `${place}, chunk ${chunks.length}`;
    if (at + 4 > table.length) {
      throw broken(
        'chunk.header',
        here,
        `no zero dword before the table's end at ${hex(table.length)}`,
        table.file,
      );
    }
    const header = table.u32At(at);
    at += 4;
    if (header === 0) return chunks;
    const type = chunkType(header, here, table.file);
    const count = header & HOT_PATCH_CHUNK.SIZE;
    if (at + count * width > table.length) {
      throw broken(
        'chunk.bounds',
        here,
        `${count} records of ${width} bytes at ${hex(at)} leave the table of ${hex(table.length)} bytes`,
        table.file,
      );
    }
    budget.spend(4 + count * width);
    const records: HotPatchRecord[] = [];
    for (let i = 0; i < count; i++, at += width) {
      records.push({
        rva: table.u32At(at),
        target: table.u32At(at + 4),
        originalBytes: width === 8 ? NO_BYTES : table.bytesAt(at + 8, width - 8),
      });
    }
    chunks.push({
      direction: (header & HOT_PATCH_CHUNK.INVERSE) === 0 ? 'forward' : 'backward',
      type,
      obligatory: (header & HOT_PATCH_CHUNK.OBLIGATORY) !== 0,
      reserved: header & HOT_PATCH_CHUNK.RESERVED,
      records,
    });
  }
}

function chunkType(header: number, place: string, file: string | undefined): HotPatchType {
  const kind = HOT_PATCH_KINDS[(header >>> 16) & 0xf];
  const fail = (rule: HotPatchRuleId) => broken(rule, place, `chunk header ${hex(header, 8)}`, file);
  if (kind === undefined) throw fail('chunk.type');
  if ((header & HOT_PATCH_CHUNK.TYPE) === HOT_PATCH_TYPE[kind]) return kind;
  const withoutExtent = kind === 'NONE' || kind === 'NO_CALL_TARGET';
  throw fail(
    withoutExtent && (header & HOT_PATCH_CHUNK.SOURCE_RVA) !== 0 ? 'chunk.noExtent' : 'chunk.rvaBits',
  );
}

function knownVersion(table: ByteReader): HotPatchVersion {
  const version = table.u32At(0);
  if (version === 1 || version === 2 || version === 3 || version === 4) return version;
  throw broken('hotPatch.version', `${table.place} +0x0`, `version ${version}`, table.file);
}

function sizeTooSmall(table: ByteReader, version: HotPatchVersion, size: number): ImageError {
  return broken(
    'hotPatch.size',
    `${table.place} +${hex(HOT_PATCH_INFO.offsetOf('size'))}`,
    `Size ${hex(size)}, version ${version} has at least ${hex(INFO_SIZE[version])}`,
    table.file,
  );
}

function broken(rule: HotPatchRuleId, place: string, detail: string, file: string | undefined): ImageError {
  const { description, status } = hotPatchRule(rule);
  return new ImageError({ rule, place, message: `${description}: ${detail}`, status: status.name, file });
}
