import { ARCHITECTURE_OF } from '../architecture.js';
import type { PeImage } from '../image.js';
import type { ImageArchitecture } from '../mapped-file.js';
import type { ByteReader } from '../reader.js';

/** RUNTIME_FUNCTION of x64: [beginAddress, endAddress) and where its UNWIND_INFO is. */
export interface FunctionTableEntryX64 {
  /** RVA. */
  readonly beginAddress: number;
  /** RVA. */
  readonly endAddress: number;
  /** RVA of UNWIND_INFO; with bit 0 set, of another RUNTIME_FUNCTION (RUNTIME_FUNCTION_INDIRECT). */
  readonly unwindInfoAddress: number;
}

/** IMAGE_ARM64_RUNTIME_FUNCTION_ENTRY. */
export interface FunctionTableEntryArm64 {
  /** RVA. */
  readonly beginAddress: number;
  /** With bits 0-1 clear the RVA of an .xdata record, else packed unwind data. */
  readonly unwindData: number;
}

/** An entry of the exception directory, of either processor. */
export type FunctionTableEntry = FunctionTableEntryX64 | FunctionTableEntryArm64;

/** Bytes of an entry. */
export const FUNCTION_TABLE_ENTRY_SIZE = {
  x64: 12,
  arm64: 8,
  x86: 0,
} as const satisfies Readonly<Record<ImageArchitecture, number>>;

/** The exception directory in file order, which linkers sort by begin address. */
export function readFunctionTable(image: PeImage): FunctionTableEntry[] {
  const directory = image.directory('exception');
  if (directory === undefined) return [];
  const table = image.tableAt(directory.virtualAddress, directory.size, 'function table (.pdata)');
  const architecture = ARCHITECTURE_OF[image.machine];
  return architecture === undefined ? [] : READERS[architecture](table);
}

/** x86 finds its handlers on the stack, and has no table. */
const READERS: Readonly<Record<ImageArchitecture, (table: ByteReader) => FunctionTableEntry[]>> = {
  x64: readX64Entries,
  arm64: readArm64Entries,
  x86: () => [],
};

function readX64Entries(table: ByteReader): FunctionTableEntryX64[] {
  const entries: FunctionTableEntryX64[] = [];
  const size = FUNCTION_TABLE_ENTRY_SIZE.x64;
  for (let at = 0; at + size <= table.length; at += size) {
    entries.push({
      beginAddress: table.u32At(at),
      endAddress: table.u32At(at + 4),
      unwindInfoAddress: table.u32At(at + 8),
    });
  }
  return entries;
}

export function readArm64Entries(table: ByteReader): FunctionTableEntryArm64[] {
  const entries: FunctionTableEntryArm64[] = [];
  const size = FUNCTION_TABLE_ENTRY_SIZE.arm64;
  for (let at = 0; at + size <= table.length; at += size) {
    entries.push({ beginAddress: table.u32At(at), unwindData: table.u32At(at + 4) });
  }
  return entries;
}

/** Has it an end address, as x64's have? */
export function isX64Entry(entry: FunctionTableEntry): entry is FunctionTableEntryX64 {
  return 'endAddress' in entry;
}
