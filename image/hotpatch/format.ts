import { Struct } from '../struct.js';

/** IMAGE_HOT_PATCH_INFO in full (winnt.h); earlier versions end sooner, see `INFO_SIZE`. */
export const HOT_PATCH_INFO = new Struct('IMAGE_HOT_PATCH_INFO', {
  version: 'u32',
  size: 'u32',
  sequenceNumber: 'u32',
  baseImageList: 'u32',
  baseImageCount: 'u32',
  bufferOffset: 'u32',
  extraPatchSize: 'u32',
  minSequenceNumber: 'u32',
  flags: 'u32',
} as const);

/** IMAGE_HOT_PATCH_BASE (winnt.h). */
export const HOT_PATCH_BASE = new Struct('IMAGE_HOT_PATCH_BASE', {
  sequenceNumber: 'u32',
  flags: 'u32',
  originalTimeDateStamp: 'u32',
  originalCheckSum: 'u32',
  codeIntegrityInfo: 'u32',
  codeIntegritySize: 'u32',
  patchTable: 'u32',
  bufferOffset: 'u32',
} as const);

/** Versions of IMAGE_HOT_PATCH_INFO, by what each added. */
export type HotPatchVersion = 1 | 2 | 3 | 4;

/** Bytes of IMAGE_HOT_PATCH_INFO that each version has, which is also the least `size` it accepts. */
export const INFO_SIZE: Readonly<Record<HotPatchVersion, number>> = { 1: 0x14, 2: 0x18, 3: 0x1c, 4: 0x24 };

/** IMAGE_HOT_PATCH_HASHES: SHA256[32], SHA1[20]. */
export const HASHES_SIZE = 52;

/** IMAGE_HOT_PATCH_INFO_FLAG_* (winnt.h). */
export const HOT_PATCH_INFO_FLAG = { PATCHORDERCRITICAL: 0x1, HOTSWAP: 0x2 } as const;

/** IMAGE_HOT_PATCH_BASE_* (winnt.h). */
export const HOT_PATCH_BASE_FLAG = {
  OBLIGATORY: 0x01,
  CAN_ROLL_BACK: 0x02,
  MACHINE_I386: 0x04,
  MACHINE_ARM64: 0x08,
  MACHINE_AMD64: 0x10,
} as const;

/** IMAGE_HOT_PATCH_CHUNK_*: masks of a chunk's header dword (winnt.h). */
export const HOT_PATCH_CHUNK = {
  INVERSE: 0x80000000,
  OBLIGATORY: 0x40000000,
  RESERVED: 0x3ff03000,
  TYPE: 0x000fc000,
  SOURCE_RVA: 0x00008000,
  TARGET_RVA: 0x00004000,
  SIZE: 0x00000fff,
} as const;

/** IMAGE_HOT_PATCH_*: the chunk types under the TYPE mask, their SOURCE_RVA and TARGET_RVA bits included. */
export const HOT_PATCH_TYPE = {
  NONE: 0x00000000,
  FUNCTION: 0x0001c000,
  ABSOLUTE: 0x0002c000,
  REL32: 0x0003c000,
  CALL_TARGET: 0x00044000,
  INDIRECT: 0x0005c000,
  NO_CALL_TARGET: 0x00064000,
  DYNAMIC_VALUE: 0x00078000,
} as const;

/** Name of a chunk's type. */
export type HotPatchType = keyof typeof HOT_PATCH_TYPE;

/** A chunk holds at most this many records (the SIZE mask). */
export const CHUNK_CAPACITY = 0xfff;

/** The chunk type's number without the SOURCE_RVA and TARGET_RVA bits: 0 NONE to 7 DYNAMIC_VALUE. */
export const HOT_PATCH_KINDS: readonly HotPatchType[] = [
  'NONE',
  'FUNCTION',
  'ABSOLUTE',
  'REL32',
  'CALL_TARGET',
  'INDIRECT',
  'NO_CALL_TARGET',
  'DYNAMIC_VALUE',
];

/** Do its records name a location in the modified image? */
export function hasSourceRva(type: HotPatchType): boolean {
  return (HOT_PATCH_TYPE[type] & HOT_PATCH_CHUNK.SOURCE_RVA) !== 0;
}

/** Do its records name something in the other image? */
export function hasTargetRva(type: HotPatchType): boolean {
  return (HOT_PATCH_TYPE[type] & HOT_PATCH_CHUNK.TARGET_RVA) !== 0;
}

/** `forward`: the location is in the base, the target in the patch image; `backward` (INVERSE): the reverse. */
export type HotPatchDirection = 'forward' | 'backward';

/** What is changed in one place. */
export interface HotPatchRecord {
  /** Dword 0: RVA of the location that is modified; for CALL_TARGET the RVA that becomes a valid call target. */
  readonly rva: number;
  /** Dword 1: RVA in the other image that the location shall refer to; for DYNAMIC_VALUE an index. */
  readonly target: number;
  /** The bytes expected at the location: 4 times extraPatchSize bytes, often none. */
  readonly originalBytes: Uint8Array;
}

/** Records of one kind and direction. */
export interface HotPatchChunk {
  /** Which of the two images is modified. */
  readonly direction: HotPatchDirection;
  /** What kind of change it is. */
  readonly type: HotPatchType;
  /** Header bit OBLIGATORY. */
  readonly obligatory: boolean;
  /** The header's RESERVED bits in place; 0 in every valid table. */
  readonly reserved: number;
  /** Its records, in order. */
  readonly records: readonly HotPatchRecord[];
}

/** IMAGE_HOT_PATCH_HASHES: digests of the base image. */
export interface HotPatchHashes {
  /** 32 bytes. */
  readonly sha256: Uint8Array;
  /** 20 bytes. */
  readonly sha1: Uint8Array;
}

/** IMAGE_HOT_PATCH_BASE: what the table says of one base image. */
export interface HotPatchBase {
  /** SequenceNumber of the base. */
  readonly sequenceNumber: number;
  /** Bits of HOT_PATCH_BASE_FLAG. */
  readonly flags: number;
  /** FileHeader.TimeDateStamp of the base image. */
  readonly originalTimeDateStamp: number;
  /** OptionalHeader.CheckSum of the base image. */
  readonly originalCheckSum: number;
  /** Offset from the start of the table; 0: none. */
  readonly codeIntegrityInfo: number;
  /** Bytes. */
  readonly codeIntegritySize: number;
  /** Undefined: none. */
  readonly hashes?: HotPatchHashes;
  /** Offset of the first chunk header from the start of the table. */
  readonly patchTable: number;
  /** BufferOffset, as in the file. */
  readonly bufferOffset: number;
  /** Its chunks, in order. */
  readonly chunks: readonly HotPatchChunk[];
}

/** A hotpatch table; the fields that its version lacks are 0. */
export interface HotPatchTable {
  /** Of IMAGE_HOT_PATCH_INFO. */
  readonly version: HotPatchVersion;
  /** Bytes of the whole table, from IMAGE_HOT_PATCH_INFO to its end. */
  readonly size: number;
  /** A newer patch of the same base has a higher one. */
  readonly sequenceNumber: number;
  /** Offset of the list of offsets of the bases. */
  readonly baseImageList: number;
  /** BufferOffset, as in the file. */
  readonly bufferOffset: number;
  /** Dwords of original bytes in each record. */
  readonly extraPatchSize: number;
  /** MinSequenceNumber, as in the file. */
  readonly minSequenceNumber: number;
  /** Bits of HOT_PATCH_INFO_FLAG. */
  readonly flags: number;
  /** The base images that it is for; usually one. */
  readonly bases: readonly HotPatchBase[];
}

/** Dwords of one record; all records of a table have the same width, whatever their type. */
export function recordDwords(table: Pick<HotPatchTable, 'version' | 'extraPatchSize'>): number {
  return 2 + (table.version >= 3 ? table.extraPatchSize : 0);
}
