export { INSTRUCTION_ALIGNMENT, POINTER_SIZE } from './architecture.js';
export type { Certificate } from './certificates.js';
export * from './check/index.js';
export { computeCheckSum } from './checksum.js';
export { type CodeView, type DebugEntry, type DebugTypeName, formatGuid } from './debug.js';
export * from './describe/index.js';
export type {
  DynamicFixup,
  DynamicRelocation,
  DynamicRelocationName,
  FunctionOverride,
} from './dynamic-relocations.js';
export {
  type EntryFacts,
  type EntryNeed,
  type EntryPlace,
  type EntryProblem,
  endOfCodeBefore,
  entryFacts,
  entryNeedOf,
  entryPlace,
  entryProblems,
  type Fill,
  FUNCTION_ENTRY_SIZE,
  FUNCTION_PADDING,
  fillBefore,
  PADDING_NEEDED,
  type ReadEntryCode,
  startOfCodeBefore,
  trailingFill,
  unsafePadding,
} from './entry.js';
export { ImageError, type ImageErrorDetails } from './error.js';
export type { ExportFunction, Exports } from './exports.js';
export type { GuardEntry, GuardTables } from './guard.js';
export type { DataDirectory, FileHeader, Headers, OptionalHeader } from './headers.js';
export * from './hotp1/index.js';
export * from './hotpatch/index.js';
export {
  type Arm64ecMetadata,
  applyArm64xFixups,
  type CodeRange,
  type CodeRangeEntryPoint,
  type HybridKind,
  type HybridMetadata,
  type Redirection,
} from './hybrid.js';
export { PeImage, readImage } from './image.js';
export type { BoundImport, DelayImportModule, ImportFunction, ImportModule } from './imports.js';
export type { LoadConfig, LoadConfigField, LoadConfigFields, LoadConfigValues } from './load-config.js';
export { type ImageArchitecture, MappedFile, type ReadImageOptions } from './mapped-file.js';
export * from './memory/index.js';
export { ByteReader } from './reader.js';
export { type EntryRedirection, type ReadMemory, recogniseEntry } from './recognise.js';
export {
  IMAGE_REL_BASED,
  RELOCATION_SIZE,
  type Relocation,
  RelocationList,
  type RelocationType,
} from './relocation-list.js';
export { applyRelocations, type RelocationBlock } from './relocations.js';
export type { FormatRule, ImageRule } from './rules.js';
export { isExecutable, isWritable, type Section } from './sections.js';
export { type NtStatus, type NtStatusName, ntStatus, ntStatusNamed } from './status.js';
export type { FieldKind, FieldValue, StructValues } from './struct.js';
export * from './symbols/index.js';
export type { InlinedRange } from './symbols/lines/inline-sites.js';
export type { InlineeSource, LineContribution, LineEntry } from './symbols/lines/line-blocks.js';
export type { StringTable } from './symbols/lines/source-files.js';
export { flagNames, hex, nameOf } from './text.js';
export type { Tls } from './tls.js';
export * from './unwind/index.js';
export { visibleJson, visibleText } from './visible-text.js';
export * from './winnt.js';
export {
  appendHotPatchTable,
  appendSection,
  HOT_PATCH_SECTION,
  type NewSection,
  setDirectory,
  setLoadConfigFields,
} from './write/append.js';
export {
  type BuiltImage,
  type CodeOptions,
  type DataOptions,
  ImageBuilder,
  type ImageBuilderOptions,
} from './write/builder.js';
export type { DebugType, LoadConfigInput } from './write/directories.js';
export { baseRelocations } from './write/directories.js';
export type { Contents, Layout } from './write/items.js';
