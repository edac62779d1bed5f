import type { ByteReader } from '../../reader.js';
import type { InlineSiteSymbol } from '../codeview-scopes.js';
import type { InlineeSource } from './line-blocks.js';

/** BinaryAnnotationOpcode of cvinfo.h. */
const BA_OP = {
  codeOffset: 1,
  changeCodeOffsetBase: 2,
  changeCodeOffset: 3,
  changeCodeLength: 4,
  changeFile: 5,
  changeLineOffset: 6,
  changeLineEndDelta: 7,
  changeRangeKind: 8,
  changeColumnStart: 9,
  changeColumnEndDelta: 10,
  changeCodeOffsetAndLineOffset: 11,
  changeCodeLengthAndCodeOffset: 12,
  changeColumnEnd: 13,
} as const;

/** A stretch of the enclosing procedure that is an inlined function's. Offsets count from the procedure's start. */
export interface InlinedRange {
  /** First byte. */
  readonly start: number;
  /** First byte behind it. */
  readonly end: number;
  /** In the file, from 1. */
  readonly line: number;
  /** Offset in DEBUG_S_FILECHKSMS. */
  readonly file: number;
}

/**
 * The code of one S_INLINESITE: its binary annotations are a small program that moves an offset and a line, and each
 * change of the offset begins a new stretch. (microsoft-pdb, cvinfo.h: CVUncompressData, BinaryAnnotationInstruction.)
 * @throws ImageError `codeview.annotation`
 */
export function inlinedRanges(
  site: InlineSiteSymbol,
  source: InlineeSource,
  reader: ByteReader,
): InlinedRange[] {
  const ranges: { start: number; end: number; line: number; file: number }[] = [];
  const numbers = new Annotations(site.annotations, reader, site.at);
  let { file, line } = source;
  let offset = 0;
  let codeOffsetBase = 0;
  const begin = () => {
    const last = ranges.at(-1);
    if (last !== undefined && last.end < 0) last.end = offset;
    ranges.push({ start: offset, end: -1, line, file });
  };
  const end = (length: number) => {
    const last = ranges.at(-1);
    if (last !== undefined) last.end = last.start + length;
    offset += length;
  };
  for (
    let operation = numbers.next();
    operation !== undefined && operation !== 0;
    operation = numbers.next()
  ) {
    switch (operation) {
      case BA_OP.codeOffset:
        offset = codeOffsetBase + numbers.operand();
        break;
      case BA_OP.changeCodeOffsetBase:
        codeOffsetBase = numbers.operand();
        break;
      case BA_OP.changeCodeOffset:
        offset += numbers.operand();
        begin();
        break;
      case BA_OP.changeCodeLength:
        end(numbers.operand());
        break;
      case BA_OP.changeFile:
        file = numbers.operand();
        break;
      case BA_OP.changeLineOffset:
        line += signed(numbers.operand());
        break;
      case BA_OP.changeCodeOffsetAndLineOffset: {
        const both = numbers.operand();
        line += signed(both >>> 4);
        offset += both & 0xf;
        begin();
        break;
      }
      case BA_OP.changeCodeLengthAndCodeOffset: {
        const length = numbers.operand();
        offset += numbers.operand();
        begin();
        end(length);
        break;
      }
      default:
        if (operation > BA_OP.changeColumnEnd) {
          throw reader.error('codeview.annotation', `unknown annotation ${operation}`, site.at);
        }
        numbers.operand();
    }
  }
  return ranges.map((range) => (range.end < 0 ? { ...range, end: range.start } : range));
}

/** Bit 0 is the sign. */
function signed(value: number): number {
  return value & 1 ? -(value >>> 1) : value >>> 1;
}

/** Numbers of one, two or four bytes; the first byte's upper bits say how many. */
class Annotations {
  #at = 0;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly reader: ByteReader,
    private readonly place: number,
  ) {}

  /** Undefined at the end; padding is 0. */
  next(): number | undefined {
    return this.#at < this.bytes.length ? this.operand() : undefined;
  }

  operand(): number {
    const first = this.#byte();
    if ((first & 0x80) === 0) return first;
    if ((first & 0xc0) === 0x80) return ((first & 0x3f) << 8) | this.#byte();
    if ((first & 0xe0) === 0xc0) {
      return ((first & 0x1f) << 24) | (this.#byte() << 16) | (this.#byte() << 8) | this.#byte();
    }
    throw this.reader.error('codeview.annotation', `a number that begins with ${first}`, this.place);
  }

  #byte(): number {
    const value = this.bytes[this.#at++];
    if (value === undefined) {
      throw this.reader.error('codeview.annotation', 'an annotation ends in the middle', this.place);
    }
    return value;
  }
}
