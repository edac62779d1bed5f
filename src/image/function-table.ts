import type { PeImage } from './image.js';

/** RUNTIME_FUNCTION of x64: [beginAddress, endAddress) and the RVA of its UNWIND_INFO. */
export interface FunctionTableEntryX64 {
  readonly beginAddress: number;
  readonly endAddress: number;
  readonly unwindInfoAddress: number;
}

/** IMAGE_ARM64_RUNTIME_FUNCTION_ENTRY: `unwindData` with bits 0-1 clear is the RVA of an .xdata record, else packed. */
export interface FunctionTableEntryArm64 {
  readonly beginAddress: number;
  readonly unwindData: number;
}

export type FunctionTableEntry = FunctionTableEntryX64 | FunctionTableEntryArm64;

export function readFunctionTable(image: PeImage): FunctionTableEntry[] {
  const directory = image.directory('exception');
  if (directory === undefined) return [];
  const table = image.readerAt(directory.virtualAddress, directory.size, 'function table (.pdata)');
  const entries: FunctionTableEntry[] = [];
  if (image.machine === 'AMD64') {
    for (let at = 0; at + 12 <= table.length; at += 12) {
      entries.push({
        beginAddress: table.u32At(at),
        endAddress: table.u32At(at + 4),
        unwindInfoAddress: table.u32At(at + 8),
      });
    }
  } else if (image.machine === 'ARM64') {
    for (let at = 0; at + 8 <= table.length; at += 8) {
      entries.push({ beginAddress: table.u32At(at), unwindData: table.u32At(at + 4) });
    }
  }
  return entries;
}
