import type { PeImage } from './image.js';
import { Struct } from './struct.js';
import { hex } from './text.js';

/** IMAGE_ARM64EC_METADATA (winnt.h), the fields that every version has. All addresses are RVAs. */
const ARM64EC_METADATA = new Struct('IMAGE_ARM64EC_METADATA', {
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
} as const);

const CODE_MAP_TYPES = ['ARM64', 'ARM64EC', 'AMD64'] as const;

/** A range of the image whose instructions are of one kind (IMAGE_CHPE_RANGE_ENTRY). */
export interface CodeRange {
  readonly rva: number;
  readonly length: number;
  readonly type: (typeof CODE_MAP_TYPES)[number] | 'unknown';
}

/** What CHPEMetadataPointer leads to in an image with two instruction sets. */
export interface HybridMetadata {
  /**
   * ARM64EC: an AMD64 image with ARM64EC code. ARM64X: an ARM64 image that can also be loaded as ARM64EC.
   * CHPE: an I386 image with ARM64 code, the format of Windows 10 on ARM, whose metadata is not decoded here.
   */
  readonly kind: 'ARM64EC' | 'ARM64X' | 'CHPE';
  readonly rva: number;
  readonly version: number;
  readonly codeRanges: readonly CodeRange[];
  readonly alternateEntryPoint: number;
  readonly auxiliaryIAT: number;
  readonly extraRFETable: number;
  readonly extraRFETableSize: number;
}

export function readHybridMetadata(image: PeImage): HybridMetadata | undefined {
  const pointer = image.loadConfig?.cHPEMetadataPointer ?? 0n;
  if (pointer === 0n) return undefined;
  const rva = image.vaToRva(pointer, 'load config, CHPEMetadataPointer');
  const none = {
    codeRanges: [],
    alternateEntryPoint: 0,
    auxiliaryIAT: 0,
    extraRFETable: 0,
    extraRFETableSize: 0,
  };
  if (image.machine === 'I386') {
    return { kind: 'CHPE', rva, version: image.u32At(rva, 'CHPE metadata'), ...none };
  }
  const metadata = ARM64EC_METADATA.read(image.readerAt(rva, ARM64EC_METADATA.size, 'CHPE metadata'));
  const ENTRY_SIZE = 8;
  const bytes = metadata.codeMapCount * ENTRY_SIZE;
  if (bytes > image.bytes.length) {
    throw image.error(
      'hybrid.codeMap',
      'CHPE metadata',
      `a code map of ${hex(metadata.codeMapCount)} entries`,
    );
  }
  const map = image.readerAt(metadata.codeMap, bytes, 'CHPE code map');
  const codeRanges: CodeRange[] = [];
  for (let at = 0; at < map.length; at += ENTRY_SIZE) {
    const start = map.u32At(at);
    codeRanges.push({
      rva: (start & ~3) >>> 0,
      length: map.u32At(at + 4),
      type: CODE_MAP_TYPES[start & 3] ?? 'unknown',
    });
  }
  return {
    kind: image.machine === 'ARM64' ? 'ARM64X' : 'ARM64EC',
    rva,
    version: metadata.version,
    codeRanges,
    alternateEntryPoint: metadata.alternateEntryPoint,
    auxiliaryIAT: metadata.auxiliaryIAT,
    extraRFETable: metadata.extraRFETable,
    extraRFETableSize: metadata.extraRFETableSize,
  };
}
