import { Budget } from '../budget.js';
import type { DebugEntry } from '../debug.js';
import type { PeImage } from '../image.js';
import type { DelayImportModule, ImportModule } from '../imports.js';
import { flagNames } from '../text.js';
import { isX64Entry, readUnwindInfoArm64, readUnwindInfoX64, type XdataArm64 } from '../unwind/index.js';
import { IMAGE_DLLCHARACTERISTICS_EX } from '../winnt.js';

/** Bytes as hexadecimal digits, two per byte. */
export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function describeImports(module: ImportModule | DelayImportModule) {
  return { ...module, functions: module.functions.map((entry) => ({ ...entry })) };
}

export function describeRelocations(image: PeImage, all: boolean) {
  const byType: Record<string, number> = {};
  for (const { type } of image.relocations) byType[type] = (byType[type] ?? 0) + 1;
  return { count: image.relocations.length, byType, ...(all ? { entries: [...image.relocations] } : {}) };
}

/** Raw data of this many bytes is shown; the CodeView and flag entries are decoded anyway. */
const SHOWN_DATA = 32;

export function describeDebug({ data, reproHash, exDllCharacteristics, ...entry }: DebugEntry) {
  return {
    ...entry,
    ...(exDllCharacteristics === undefined
      ? {}
      : {
          exDllCharacteristics,
          exDllCharacteristicsNames: flagNames(exDllCharacteristics, IMAGE_DLLCHARACTERISTICS_EX),
        }),
    ...(reproHash === undefined ? {} : { reproHash: hexOf(reproHash) }),
    ...(entry.codeView === undefined && data.length > 0 && data.length <= SHOWN_DATA
      ? { data: hexOf(data) }
      : {}),
  };
}

/** Entries may share a record, but not so that the description outgrows the file. */
const SHARED_RECORDS = 16;

export function describeFunctionTable(image: PeImage, all: boolean) {
  const { functionTable } = image;
  if (!all) return { count: functionTable.length };
  const budget = new Budget('function table, unwind data', SHARED_RECORDS * image.bytes.length, image.file);
  return {
    count: functionTable.length,
    entries: functionTable.map((entry) => {
      if (isX64Entry(entry)) {
        const unwind = readUnwindInfoX64(image, entry);
        budget.spend(2 * unwind.countOfCodes);
        return { ...entry, unwind };
      }
      const unwind = readUnwindInfoArm64(image, entry);
      if (unwind.form === 'packed') return { ...entry, unwind };
      budget.spend(unwind.size);
      return { ...entry, unwind: describeXdata(unwind) };
    }),
  };
}

function describeXdata(unwind: XdataArm64) {
  const { form, rva, functionLength, packedEpilog, epilogs, exceptionHandler } = unwind;
  return {
    form,
    rva,
    functionLength,
    packedEpilog,
    codeBytes: hexOf(unwind.codeBytes),
    prolog: unwind.prolog.map(withHex),
    epilogs,
    ...(exceptionHandler === undefined ? {} : { exceptionHandler }),
  };
}

function withHex<T extends { readonly bytes: Uint8Array }>(code: T) {
  return { ...code, bytes: hexOf(code.bytes) };
}
