import type { PeImage } from './image.js';
import { type FieldKind, type PointerSize, Struct, type StructValues } from './struct.js';
import { hex } from './text.js';

const start = {
  size: 'u32',
  timeDateStamp: 'u32',
  majorVersion: 'u16',
  minorVersion: 'u16',
  globalFlagsClear: 'u32',
  globalFlagsSet: 'u32',
  criticalSectionDefaultTimeout: 'u32',
  deCommitFreeBlockThreshold: 'pointer',
  deCommitTotalFreeThreshold: 'pointer',
  lockPrefixTable: 'pointer',
  maximumAllocationSize: 'pointer',
  virtualMemoryThreshold: 'pointer',
} as const satisfies Record<string, FieldKind>;

const rest = {
  cSDVersion: 'u16',
  dependentLoadFlags: 'u16',
  editList: 'pointer',
  securityCookie: 'pointer',
  seHandlerTable: 'pointer',
  seHandlerCount: 'pointer',
  guardCFCheckFunctionPointer: 'pointer',
  guardCFDispatchFunctionPointer: 'pointer',
  guardCFFunctionTable: 'pointer',
  guardCFFunctionCount: 'pointer',
  guardFlags: 'u32',
  codeIntegrityFlags: 'u16',
  codeIntegrityCatalog: 'u16',
  codeIntegrityCatalogOffset: 'u32',
  codeIntegrityReserved: 'u32',
  guardAddressTakenIatEntryTable: 'pointer',
  guardAddressTakenIatEntryCount: 'pointer',
  guardLongJumpTargetTable: 'pointer',
  guardLongJumpTargetCount: 'pointer',
  dynamicValueRelocTable: 'pointer',
  cHPEMetadataPointer: 'pointer',
  guardRFFailureRoutine: 'pointer',
  guardRFFailureRoutineFunctionPointer: 'pointer',
  dynamicValueRelocTableOffset: 'u32',
  dynamicValueRelocTableSection: 'u16',
  reserved2: 'u16',
  guardRFVerifyStackPointerFunctionPointer: 'pointer',
  hotPatchTableOffset: 'u32',
  reserved3: 'u32',
  enclaveConfigurationPointer: 'pointer',
  volatileMetadataPointer: 'pointer',
  guardEHContinuationTable: 'pointer',
  guardEHContinuationCount: 'pointer',
  guardXFGCheckFunctionPointer: 'pointer',
  guardXFGDispatchFunctionPointer: 'pointer',
  guardXFGTableDispatchFunctionPointer: 'pointer',
  castGuardOsDeterminedFailureMode: 'pointer',
  guardMemcpyFunctionPointer: 'pointer',
  umaFunctionPointers: 'pointer',
} as const satisfies Record<string, FieldKind>;

/**
 * IMAGE_LOAD_CONFIG_DIRECTORY64 and 32 (Windows SDK, winnt.h): 0x148 and 0xc4 bytes. The two order processHeapFlags and
 * processAffinityMask differently. An image carries as many leading bytes as its `size` field says.
 */
export const LOAD_CONFIG64 = new Struct('IMAGE_LOAD_CONFIG_DIRECTORY64', {
  ...start,
  processAffinityMask: 'pointer',
  processHeapFlags: 'u32',
  ...rest,
} as const);
export const LOAD_CONFIG32 = new Struct(
  'IMAGE_LOAD_CONFIG_DIRECTORY32',
  { ...start, processHeapFlags: 'u32', processAffinityMask: 'pointer', ...rest } as const,
  4,
);

/** Fields of IMAGE_LOAD_CONFIG_DIRECTORY, with the width of each. */
export type LoadConfigFields = typeof start &
  typeof rest & { readonly processAffinityMask: 'pointer'; readonly processHeapFlags: 'u32' };
/** Values of the fields: addresses are bigints. */
export type LoadConfigValues = StructValues<LoadConfigFields>;
/** Name of a field: winnt.h's, beginning with a small letter. */
export type LoadConfigField = keyof LoadConfigValues & string;

/** The load configuration. A field that the image's directory is too short for is 0 and `has` says so. */
export type LoadConfig = Readonly<LoadConfigValues> & {
  readonly rva: number;
  /** Size in the data directory; older linkers for x86 wrote 64 here whatever the structure's size. */
  readonly directorySize: number;
  has(field: LoadConfigField): boolean;
  /** Offset of a field from the start of the structure. */
  offsetOf(field: LoadConfigField): number;
};

export function loadConfigStruct(pointerSize: PointerSize): Struct<LoadConfigFields> {
  return (pointerSize === 8 ? LOAD_CONFIG64 : LOAD_CONFIG32) as unknown as Struct<LoadConfigFields>;
}

export function readLoadConfig(image: PeImage): LoadConfig | undefined {
  const directory = image.directory('loadConfig');
  if (directory === undefined) return undefined;
  const { virtualAddress: rva, size: directorySize } = directory;
  const struct = loadConfigStruct(image.pointerSize);
  const size = image.readerAt(rva, 4, 'load config').u32At(0);
  const reader = image.readerAt(rva, Math.min(size, struct.size), 'load config');
  if (size < 4) throw reader.error('loadConfig.size', `size ${hex(size)} does not even hold itself`, 0);
  const values = struct.read(reader, 0, size);
  return {
    ...values,
    rva,
    directorySize,
    has(field) {
      const { offset, size: fieldSize } = struct.field(field);
      return offset + fieldSize <= size;
    },
    offsetOf: (field) => struct.offsetOf(field),
  };
}
