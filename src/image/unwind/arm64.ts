import type { PeImage } from '../image.js';
import { hex } from '../text.js';
import { decodeUnwindCodesArm64, type UnwindCodeArm64 } from './arm64-codes.js';
import { type PackedUnwindArm64, readPackedUnwind } from './arm64-packed.js';
import type { FunctionTableEntryArm64 } from './function-table.js';

export type { RegisterArm64, SimpleUnwindCodeArm64, UnwindCodeArm64 } from './arm64-codes.js';
export type { PackedUnwindArm64, PrologStepArm64 } from './arm64-packed.js';

/** An epilog of a full .xdata record. */
export interface EpilogScopeArm64 {
  /** Bytes from the start of the function. */
  readonly startOffset: number;
  /** Index of the epilog's first code among the record's code bytes. */
  readonly startIndex: number;
  readonly codes: readonly UnwindCodeArm64[];
}

/** A full .xdata record (ARM64 exception handling, ".xdata records"). Lengths are bytes. */
export interface XdataArm64 {
  readonly form: 'xdata';
  readonly rva: number;
  readonly functionLength: number;
  readonly version: number;
  readonly hasExceptionData: boolean;
  /** E: one epilog, at the function's end, whose first code has index `epilogStartIndex`; no scopes. */
  readonly packedEpilog: boolean;
  /** With packedEpilog. */
  readonly epilogStartIndex?: number;
  readonly codeBytes: Uint8Array;
  /** The prolog's codes, up to and including `end`; the last prolog instruction first. */
  readonly prolog: readonly UnwindCodeArm64[];
  readonly epilogs: readonly EpilogScopeArm64[];
  readonly exceptionHandler?: number;
  /** RVA of the handler's own data. */
  readonly handlerData?: number;
}

export type UnwindInfoArm64 = XdataArm64 | PackedUnwindArm64;

export function readUnwindInfoArm64(image: PeImage, entry: FunctionTableEntryArm64): UnwindInfoArm64 {
  return (entry.unwindData & 3) === 0 ? readXdata(image, entry.unwindData) : readPackedUnwind(image, entry);
}

function readXdata(image: PeImage, rva: number): XdataArm64 {
  const place = `.xdata record at ${hex(rva)}`;
  const word = image.u32At(rva, place);
  const functionLength = 4 * (word & 0x3ffff);
  const version = (word >>> 18) & 3;
  const hasExceptionData = (word & 0x100000) !== 0;
  const packedEpilog = (word & 0x200000) !== 0;
  let epilogCount = (word >>> 22) & 0x1f;
  let codeWords = word >>> 27;
  let at = rva + 4;
  if (epilogCount === 0 && codeWords === 0) {
    const extension = image.u32At(at, place);
    at += 4;
    epilogCount = extension & 0xffff;
    codeWords = (extension >>> 16) & 0xff;
  }
  if (version !== 0) throw image.error('unwind.version', place, `version ${version}`);

  const scopes = packedEpilog ? 0 : epilogCount;
  const scopeTable = image.readerAt(at, 4 * scopes, `${place}, epilog scopes`);
  at += 4 * scopes;
  const codes = image.readerAt(at, 4 * codeWords, `${place}, codes`);
  at += 4 * codeWords;

  const epilogs: EpilogScopeArm64[] = [];
  for (let i = 0; i < scopes; i++) {
    const scope = scopeTable.u32At(4 * i);
    const startIndex = scope >>> 22;
    epilogs.push({
      startOffset: 4 * (scope & 0x3ffff),
      startIndex,
      codes: decodeUnwindCodesArm64(codes, startIndex),
    });
  }
  if (packedEpilog) {
    const epilog = decodeUnwindCodesArm64(codes, epilogCount);
    const instructions = epilog.length;
    epilogs.push({ startOffset: functionLength - 4 * instructions, startIndex: epilogCount, codes: epilog });
  }
  return {
    form: 'xdata',
    rva,
    functionLength,
    version,
    hasExceptionData,
    packedEpilog,
    ...(packedEpilog ? { epilogStartIndex: epilogCount } : {}),
    codeBytes: codes.bytes,
    prolog: decodeUnwindCodesArm64(codes, 0),
    epilogs,
    ...(hasExceptionData
      ? { exceptionHandler: image.u32At(at, `${place}, handler`), handlerData: at + 4 }
      : {}),
  };
}
