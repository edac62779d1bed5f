import type { PeImage } from '../image.js';
import type { ByteReader } from '../reader.js';
import { hex } from '../text.js';
import { decodeUnwindCodesArm64, type UnwindCodeArm64 } from './arm64-codes.js';
import { type PackedUnwindArm64, readPackedUnwind } from './arm64-packed.js';
import type { FunctionTableEntryArm64 } from './function-table.js';

export type { RegisterArm64, SimpleUnwindCodeArm64, UnwindCodeArm64 } from './arm64-codes.js';
export type { PackedUnwindArm64, PrologStepArm64 } from './arm64-packed.js';

/** An epilog of a full .xdata record. */
export class EpilogScopeArm64 {
  /** Bytes from the start of the function. */
  readonly startOffset: number;
  /** Index of the epilog's first code among the record's code bytes. */
  readonly startIndex: number;
  readonly #codes: ByteReader;

  constructor(startOffset: number, startIndex: number, codes: ByteReader) {
    this.startOffset = startOffset;
    this.startIndex = startIndex;
    this.#codes = codes;
  }

  /** One code for each instruction, in the order of the instructions; decoded at each call. */
  get codes(): readonly UnwindCodeArm64[] {
    return decodeUnwindCodesArm64(this.#codes, this.startIndex);
  }
}

/**
 * A full .xdata record (ARM64 exception handling, ".xdata records"). Lengths are bytes. Codes are decoded when they are
 * asked for: one record may describe 65,535 epilogs.
 */
export class XdataArm64 {
  /** Which of the two forms it is. */
  readonly form = 'xdata';
  /** Of the record. */
  readonly rva: number;
  /** Bytes. */
  readonly functionLength: number;
  /** 0. */
  readonly version: number;
  /** X: is there an exception handler? */
  readonly hasExceptionData: boolean;
  /** E: one epilog, at the function's end, whose first code has index `epilogStartIndex`; no scopes. */
  readonly packedEpilog: boolean;
  /** With packedEpilog. */
  readonly epilogStartIndex?: number;
  /** Bytes of the record, without the handler's own data. */
  readonly size: number;
  /** RVA; with {@link hasExceptionData}. */
  readonly exceptionHandler?: number;
  /** RVA of the handler's own data. */
  readonly handlerData?: number;
  readonly #scopes: ByteReader;
  readonly #codes: ByteReader;

  constructor(image: PeImage, rva: number) {
    const place = `.xdata record at ${hex(rva)}`;
    const word = image.u32At(rva, place);
    this.rva = rva;
    this.functionLength = 4 * (word & 0x3ffff);
    this.version = (word >>> 18) & 3;
    this.hasExceptionData = (word & 0x100000) !== 0;
    this.packedEpilog = (word & 0x200000) !== 0;
    let epilogCount = (word >>> 22) & 0x1f;
    let codeWords = word >>> 27;
    let at = rva + 4;
    if (epilogCount === 0 && codeWords === 0) {
      const extension = image.u32At(at, place);
      at += 4;
      epilogCount = extension & 0xffff;
      codeWords = (extension >>> 16) & 0xff;
    }
    if (this.version !== 0) throw image.error('unwind.version', place, `version ${this.version}`);
    if (this.packedEpilog) this.epilogStartIndex = epilogCount;
    const scopes = this.packedEpilog ? 0 : epilogCount;
    this.#scopes = image.readerAt(at, 4 * scopes, `${place}, epilog scopes`);
    at += 4 * scopes;
    this.#codes = image.readerAt(at, 4 * codeWords, `${place}, codes`);
    at += 4 * codeWords;
    if (this.hasExceptionData) {
      this.exceptionHandler = image.u32At(at, `${place}, handler`);
      at += 4;
      this.handlerData = at;
    }
    this.size = at - rva;
  }

  /** The codes as they are in the file. */
  get codeBytes(): Uint8Array {
    return this.#codes.bytes;
  }

  /** The prolog's codes, up to and including `end`; the last prolog instruction first. */
  get prolog(): readonly UnwindCodeArm64[] {
    return decodeUnwindCodesArm64(this.#codes, 0);
  }

  /** The function's epilogs, in order. */
  get epilogs(): readonly EpilogScopeArm64[] {
    const codes = this.#codes;
    if (this.epilogStartIndex !== undefined) {
      const instructions = decodeUnwindCodesArm64(codes, this.epilogStartIndex).length;
      return [new EpilogScopeArm64(this.functionLength - 4 * instructions, this.epilogStartIndex, codes)];
    }
    const epilogs: EpilogScopeArm64[] = [];
    for (let at = 0; at < this.#scopes.length; at += 4) {
      const scope = this.#scopes.u32At(at);
      epilogs.push(new EpilogScopeArm64(4 * (scope & 0x3ffff), scope >>> 22, codes));
    }
    return epilogs;
  }
}

/** Either form, told apart by `form`. */
export type UnwindInfoArm64 = XdataArm64 | PackedUnwindArm64;

/** What an entry of the exception directory says or leads to. */
export function readUnwindInfoArm64(image: PeImage, entry: FunctionTableEntryArm64): UnwindInfoArm64 {
  return (entry.unwindData & 3) === 0
    ? new XdataArm64(image, entry.unwindData)
    : readPackedUnwind(entry.unwindData);
}
