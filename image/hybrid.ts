import type { PeImage } from './image.js';
import type { ByteReader } from './reader.js';
import { Struct, type StructValues } from './struct.js';
import { hex } from './text.js';
import { type FunctionTableEntryArm64, readArm64Entries } from './unwind/function-table.js';
import type { MachineName } from './winnt.js';

const fields = {
  version: 'u32',
  codeMap: 'u32',
  codeMapCount: 'u32',
  codeRangesToEntryPoints: 'u32',
  redirectionMetadata: 'u32',
  osArm64xDispatchCallNoRedirect: 'u32',
  osArm64xDispatchRet: 'u32',
  osArm64xDispatchCall: 'u32',
  osArm64xDispatchICall: 'u32',
  osArm64xDispatchICallCfg: 'u32',
  alternateEntryPoint: 'u32',
  auxiliaryIAT: 'u32',
  codeRangesToEntryPointsCount: 'u32',
  redirectionMetadataCount: 'u32',
  getX64InformationFunctionPointer: 'u32',
  setX64InformationFunctionPointer: 'u32',
  extraRFETable: 'u32',
  extraRFETableSize: 'u32',
  osArm64xDispatchFptr: 'u32',
  auxiliaryIATCopy: 'u32',
} as const;

/** IMAGE_ARM64EC_METADATA (winnt.h), the fields that every version has. All addresses are RVAs. */
const ARM64EC_METADATA = new Struct('IMAGE_ARM64EC_METADATA', fields);

/** IMAGE_ARM64EC_METADATA; addresses are RVAs. */
export type Arm64ecMetadata = StructValues<typeof fields>;

const CODE_MAP_TYPES = ['ARM64', 'ARM64EC', 'AMD64'] as const;

/** A range of the image whose instructions are of one kind (IMAGE_CHPE_RANGE_ENTRY). */
export interface CodeRange {
  /** Of the first byte. */
  readonly rva: number;
  /** In bytes. */
  readonly length: number;
  /** Instruction set of the range. */
  readonly type: (typeof CODE_MAP_TYPES)[number] | 'unknown';
}

/** IMAGE_ARM64EC_CODE_RANGE_ENTRY_POINT: x64 code of [startRva, endRva) is entered at entryPoint. */
export interface CodeRangeEntryPoint {
  /** First byte of the range. */
  readonly startRva: number;
  /** First byte behind the range. */
  readonly endRva: number;
  /** RVA of the code that it is entered through. */
  readonly entryPoint: number;
}

/** IMAGE_ARM64EC_REDIRECTION_ENTRY: an x64 thunk and the ARM64EC function behind it. */
export interface Redirection {
  /** RVA of the x64 thunk. */
  readonly source: number;
  /** RVA of the ARM64EC function. */
  readonly destination: number;
}

/**
 * ARM64EC: an AMD64 image with ARM64EC code. ARM64X: an ARM64 image that can also be loaded as ARM64EC.
 * CHPE: an I386 image with ARM64 code, the format of Windows 10 on ARM, of which only the version is read here.
 */
export type HybridKind = 'ARM64EC' | 'ARM64X' | 'CHPE';

/** What CHPEMetadataPointer leads to in an image with two instruction sets. */
export interface HybridMetadata {
  /** Which two instruction sets. */
  readonly kind: HybridKind;
  /** Of the metadata. */
  readonly rva: number;
  /** Of its format. */
  readonly version: number;
  /** Undefined for CHPE. */
  readonly metadata?: Arm64ecMetadata;
  /** Ascending. */
  readonly codeRanges: readonly CodeRange[];
  /** How x64 code of a range is entered. */
  readonly codeRangesToEntryPoints: readonly CodeRangeEntryPoint[];
  /** Which thunk stands for which function. */
  readonly redirections: readonly Redirection[];
  /** The functions of the instruction set that the exception directory leaves out. */
  readonly extraFunctionTable: readonly FunctionTableEntryArm64[];
}

/** Of an image with CHPE metadata, by its machine. */
const KIND_OF_MACHINE: Readonly<Record<MachineName, HybridKind>> = {
  UNKNOWN: 'ARM64EC',
  I386: 'CHPE',
  ARMNT: 'ARM64EC',
  AMD64: 'ARM64EC',
  ARM64EC: 'ARM64EC',
  ARM64X: 'ARM64EC',
  ARM64: 'ARM64X',
};

export function readHybridMetadata(image: PeImage): HybridMetadata | undefined {
  const pointer = image.loadConfig?.cHPEMetadataPointer ?? 0n;
  if (pointer === 0n) return undefined;
  const rva = image.vaToRva(pointer, 'load config, CHPEMetadataPointer');
  const kind = KIND_OF_MACHINE[image.machine];
  if (kind === 'CHPE') {
    const none = { codeRanges: [], codeRangesToEntryPoints: [], redirections: [], extraFunctionTable: [] };
    return { kind, rva, version: image.u32At(rva, 'CHPE metadata'), ...none };
  }
  const metadata = ARM64EC_METADATA.read(image.readerAt(rva, ARM64EC_METADATA.size, 'CHPE metadata'));
  const rows = (place: string, at: number, count: number, dwords: number): number[][] =>
    readRows(tableReader(image, place, at, 4 * dwords * count), dwords);
  const type = (start: number) => CODE_MAP_TYPES[start & 3] ?? 'unknown';
  const { extraRFETable, extraRFETableSize } = metadata;
  return {
    kind,
    rva,
    version: metadata.version,
    metadata,
    codeRanges: rows('CHPE code map', metadata.codeMap, metadata.codeMapCount, 2).map(
      ([start = 0, length = 0]) => ({
        rva: (start & ~3) >>> 0,
        length,
        type: type(start),
      }),
    ),
    codeRangesToEntryPoints: rows(
      'CHPE entry points',
      metadata.codeRangesToEntryPoints,
      metadata.codeRangesToEntryPointsCount,
      3,
    ).map(([startRva = 0, endRva = 0, entryPoint = 0]) => ({ startRva, endRva, entryPoint })),
    redirections: rows(
      'CHPE redirections',
      metadata.redirectionMetadata,
      metadata.redirectionMetadataCount,
      2,
    ).map(([source = 0, destination = 0]) => ({ source, destination })),
    extraFunctionTable:
      extraRFETable === 0
        ? []
        : readArm64Entries(tableReader(image, 'extra function table', extraRFETable, extraRFETableSize)),
  };
}

function tableReader(image: PeImage, place: string, rva: number, size: number): ByteReader {
  return image.tableAt(size === 0 ? 0 : rva, size, place);
}

function readRows(reader: ByteReader, dwords: number): number[][] {
  const rows: number[][] = [];
  while (reader.remaining >= 4 * dwords) rows.push(Array.from({ length: dwords }, () => reader.u32()));
  return rows;
}

/**
 * The file as it looks when an ARM64X image is loaded as ARM64EC: the fixups of its dynamic relocations applied.
 * @returns a changed copy, or undefined for other images
 */
export function applyArm64xFixups(image: PeImage): Uint8Array | undefined {
  if (image.hybrid?.kind !== 'ARM64X') return undefined;
  const bytes = image.bytes.slice();
  const view = new DataView(bytes.buffer);
  for (const fixup of image.dynamicRelocations.flatMap((relocation) => relocation.fixups)) {
    if (fixup.kind !== 'arm64x') continue;
    const size = fixup.change === 'zeroFill' ? fixup.size : fixup.change === 'value' ? fixup.value.length : 4;
    const offset = image.rvaToOffset(fixup.rva);
    if (offset === undefined || offset + size > bytes.length) {
      throw image.error(
        'hybrid.fixup',
        `ARM64X fixup of RVA ${hex(fixup.rva)}`,
        'the place is not in the file',
      );
    }
    if (fixup.change === 'value') bytes.set(fixup.value, offset);
    else if (fixup.change === 'zeroFill') bytes.fill(0, offset, offset + size);
    else view.setUint32(offset, (view.getUint32(offset, true) + fixup.delta) >>> 0, true);
  }
  return bytes;
}
