import { ImageError } from './error.js';
import { ByteReader } from './reader.js';
import type { ImageRule } from './rules.js';
import { Struct, type StructValues } from './struct.js';
import { hex } from './text.js';
import { DIRECTORY_NAMES, type DirectoryName } from './winnt.js';

const fileHeaderFields = {
  machine: 'u16',
  numberOfSections: 'u16',
  timeDateStamp: 'u32',
  pointerToSymbolTable: 'u32',
  numberOfSymbols: 'u32',
  sizeOfOptionalHeader: 'u16',
  characteristics: 'u16',
} as const;

const optionalHeaderStart = {
  magic: 'u16',
  majorLinkerVersion: 'u8',
  minorLinkerVersion: 'u8',
  sizeOfCode: 'u32',
  sizeOfInitializedData: 'u32',
  sizeOfUninitializedData: 'u32',
  addressOfEntryPoint: 'u32',
  baseOfCode: 'u32',
} as const;

const optionalHeaderRest = {
  imageBase: 'pointer',
  sectionAlignment: 'u32',
  fileAlignment: 'u32',
  majorOperatingSystemVersion: 'u16',
  minorOperatingSystemVersion: 'u16',
  majorImageVersion: 'u16',
  minorImageVersion: 'u16',
  majorSubsystemVersion: 'u16',
  minorSubsystemVersion: 'u16',
  win32VersionValue: 'u32',
  sizeOfImage: 'u32',
  sizeOfHeaders: 'u32',
  checkSum: 'u32',
  subsystem: 'u16',
  dllCharacteristics: 'u16',
  sizeOfStackReserve: 'pointer',
  sizeOfStackCommit: 'pointer',
  sizeOfHeapReserve: 'pointer',
  sizeOfHeapCommit: 'pointer',
  loaderFlags: 'u32',
  numberOfRvaAndSizes: 'u32',
} as const;

/** IMAGE_FILE_HEADER, IMAGE_OPTIONAL_HEADER32 and 64 (winnt.h). */
export const FILE_HEADER = new Struct('IMAGE_FILE_HEADER', fileHeaderFields);
export const OPTIONAL_HEADER32 = new Struct(
  'IMAGE_OPTIONAL_HEADER32',
  { ...optionalHeaderStart, baseOfData: 'u32', ...optionalHeaderRest },
  4,
);
export const OPTIONAL_HEADER64 = new Struct(
  'IMAGE_OPTIONAL_HEADER64',
  { ...optionalHeaderStart, ...optionalHeaderRest },
  8,
);

export const PE32_MAGIC = 0x10b;
export const PE32_PLUS_MAGIC = 0x20b;
export const DATA_DIRECTORY_SIZE = 8;

/** IMAGE_FILE_HEADER; `characteristics` are bits of IMAGE_FILE. */
export type FileHeader = StructValues<typeof fileHeaderFields>;
/** IMAGE_OPTIONAL_HEADER32 or IMAGE_OPTIONAL_HEADER64. */
export type OptionalHeader = StructValues<typeof optionalHeaderStart & typeof optionalHeaderRest> & {
  /** PE32 only. */
  baseOfData?: number;
};

/** IMAGE_DATA_DIRECTORY. An RVA, but a file offset for `security`. */
export interface DataDirectory {
  /** RVA; of the certificate table an offset in the file. */
  readonly virtualAddress: number;
  /** Bytes. */
  readonly size: number;
}

/** All headers of an image. */
export interface Headers {
  /** IMAGE_DOS_HEADER.e_lfanew: file offset of the PE signature. */
  readonly peOffset: number;
  /** 4 in PE32, 8 in PE32+. */
  readonly pointerSize: 4 | 8;
  /** IMAGE_FILE_HEADER. */
  readonly fileHeader: FileHeader;
  /** IMAGE_OPTIONAL_HEADER. */
  readonly optionalHeader: OptionalHeader;
  /** As many as numberOfRvaAndSizes says, at most 16. */
  readonly dataDirectories: readonly DataDirectory[];
  /** Offset in the file. */
  readonly fileHeaderOffset: number;
  /** Offset in the file. */
  readonly optionalHeaderOffset: number;
  /** Offset in the file. */
  readonly sectionTableOffset: number;
}

export function optionalHeaderStruct(pointerSize: 4 | 8): Struct<typeof optionalHeaderRest> {
  // Both structures have the fields of optionalHeaderRest; only those are asked for by name.
  return (pointerSize === 8 ? OPTIONAL_HEADER64 : OPTIONAL_HEADER32) as unknown as Struct<
    typeof optionalHeaderRest
  >;
}

export function directoryIndex(name: DirectoryName): number {
  return DIRECTORY_NAMES.indexOf(name);
}

/** File offset of one data directory's entry. */
export function directoryOffset(headers: Headers, name: DirectoryName): number {
  const struct = headers.pointerSize === 8 ? OPTIONAL_HEADER64 : OPTIONAL_HEADER32;
  return headers.optionalHeaderOffset + struct.size + DATA_DIRECTORY_SIZE * directoryIndex(name);
}

/** Reads the DOS, file and optional header and checks what every later step relies on. */
export function readHeaders(bytes: Uint8Array, file?: string): Headers {
  const fail = (
    rule: ImageRule,
    place: string,
    message: string,
    more: Partial<{ hint: string; mz: true }> = {},
  ) =>
    new ImageError({
      rule,
      place,
      message,
      file,
      hint: more.hint,
      ...(more.mz ? { status: 'STATUS_INVALID_IMAGE_NOT_MZ' as const } : {}),
    });

  const whole = new ByteReader(bytes, 'file', file);
  if (bytes.length < 2 || whole.u16At(0) !== 0x5a4d) {
    throw fail('headers.dosSignature', 'DOS header +0x0', 'the file does not begin with MZ', {
      mz: true,
      hint: 'a PE image (.sys, .dll, .exe) is expected here',
    });
  }
  const dos = whole.slice(0, Math.min(0x40, bytes.length), 'DOS header');
  const peOffset = dos.u32At(0x3c);
  if (peOffset + 4 > bytes.length || whole.u32At(peOffset) !== 0x4550) {
    throw fail('headers.signature', 'DOS header +0x3c', `no PE signature at file offset ${hex(peOffset)}`);
  }

  const fileHeaderOffset = peOffset + 4;
  const fileHeader = FILE_HEADER.read(
    whole.slice(fileHeaderOffset, Math.min(FILE_HEADER.size, bytes.length - fileHeaderOffset), 'file header'),
  );

  const optionalHeaderOffset = fileHeaderOffset + FILE_HEADER.size;
  const { sizeOfOptionalHeader } = fileHeader;
  const optional = whole.slice(
    optionalHeaderOffset,
    Math.min(sizeOfOptionalHeader, Math.max(0, bytes.length - optionalHeaderOffset)),
    'optional header',
  );
  const magic = optional.u16At(0);
  if (magic !== PE32_MAGIC && magic !== PE32_PLUS_MAGIC) {
    throw fail('headers.magic', 'optional header +0x0', `magic ${hex(magic)} is neither PE32 nor PE32+`);
  }
  const pointerSize = magic === PE32_PLUS_MAGIC ? 8 : 4;
  const struct = pointerSize === 8 ? OPTIONAL_HEADER64 : OPTIONAL_HEADER32;
  const optionalHeader: OptionalHeader = struct.read(optional);

  for (const [name, value] of [
    ['sectionAlignment', optionalHeader.sectionAlignment],
    ['fileAlignment', optionalHeader.fileAlignment],
  ] as const) {
    if (value === 0 || (value & (value - 1)) !== 0) {
      throw fail(
        `headers.${name}`,
        `optional header +${hex(struct.offsetOf(name))}`,
        `${name} ${hex(value)} is not a power of two`,
      );
    }
  }
  if (optionalHeader.sectionAlignment < optionalHeader.fileAlignment) {
    throw fail(
      'headers.sectionAlignment',
      `optional header +${hex(struct.offsetOf('sectionAlignment'))}`,
      `sectionAlignment ${hex(optionalHeader.sectionAlignment)} is less than fileAlignment ${hex(optionalHeader.fileAlignment)}`,
    );
  }
  if (optionalHeader.sizeOfHeaders === 0 || optionalHeader.sizeOfHeaders > bytes.length) {
    throw fail(
      'headers.sizeOfHeaders',
      `optional header +${hex(struct.offsetOf('sizeOfHeaders'))}`,
      `sizeOfHeaders ${hex(optionalHeader.sizeOfHeaders)} does not fit into the file of ${hex(bytes.length)} bytes`,
    );
  }
  if (optionalHeader.sizeOfImage === 0 || optionalHeader.sizeOfImage < optionalHeader.sizeOfHeaders) {
    throw fail(
      'headers.sizeOfImage',
      `optional header +${hex(struct.offsetOf('sizeOfImage'))}`,
      `sizeOfImage ${hex(optionalHeader.sizeOfImage)} is less than sizeOfHeaders`,
    );
  }

  const dataDirectories: DataDirectory[] = [];
  for (let i = 0; i < Math.min(optionalHeader.numberOfRvaAndSizes, DIRECTORY_NAMES.length); i++) {
    const at = struct.size + DATA_DIRECTORY_SIZE * i;
    dataDirectories.push({ virtualAddress: optional.u32At(at), size: optional.u32At(at + 4) });
  }

  return {
    peOffset,
    pointerSize,
    fileHeader,
    optionalHeader,
    dataDirectories,
    fileHeaderOffset,
    optionalHeaderOffset,
    sectionTableOffset: optionalHeaderOffset + sizeOfOptionalHeader,
  };
}
