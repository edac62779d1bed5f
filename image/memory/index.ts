export { imageFromMemory } from './from-memory.js';
export { type HookShape, hookShape } from './hook-shapes.js';
export { baseName, type DumpModule, type MemoryDump, type MemoryRange, MemoryRanges } from './memory.js';
export { isMinidump, readMinidump } from './minidump-read.js';
export {
  type MinidumpInput,
  type MinidumpModule,
  type MinidumpRegion,
  type MinidumpThread,
  writeMinidump,
} from './minidump-write.js';
export { RAW_MEMORY_FORMAT, type RawMemoryDescription, type RawRegion, readRawMemory } from './raw.js';
export {
  type ScanFinding,
  type ScannedModule,
  type ScanOptions,
  type ScanVerdict,
  scanMemory,
} from './scan.js';
