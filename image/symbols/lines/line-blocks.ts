import type { ByteReader } from '../../reader.js';
import { hex } from '../../text.js';
import type { SectionOffset } from '../codeview.js';

const HAS_COLUMNS = 1;
const BLOCK_HEADER = 12;
const LINE_SIZE = 8;
const COLUMN_SIZE = 4;

/** Line numbers that are none: the compiler's marks for code that no line stands for, and for what to step into. */
const NOT_A_LINE = new Set([0xf00f00, 0xfeefee]);

/** Code from `offset` on, up to the next entry of its contribution, is of this line. */
export interface LineEntry {
  /** In the contribution. */
  readonly offset: number;
  /** From 1. */
  readonly line: number;
  /** 0 when columns were not kept (`-gcolumn-info` is clang's default for CodeView: off). */
  readonly column: number;
  /** Does a statement begin here? */
  readonly isStatement: boolean;
  /** Offset of its file in DEBUG_S_FILECHKSMS. */
  readonly file: number;
}

/** The lines of one stretch of code, usually one function, sorted by their offsets. */
export interface LineContribution extends SectionOffset {
  /** Bytes of code. */
  readonly size: number;
  /** Sorted by offset. */
  readonly entries: readonly LineEntry[];
}

/** One DEBUG_S_LINES: CV_DebugSLinesHeader_t and its blocks, one for each file. */
export function readLines(data: ByteReader): LineContribution {
  const offset = data.u32();
  const section = data.u16();
  const hasColumns = (data.u16() & HAS_COLUMNS) !== 0;
  const size = data.u32();
  const entries: LineEntry[] = [];
  while (data.remaining >= BLOCK_HEADER) {
    const at = data.position;
    const file = data.u32();
    const count = data.u32();
    const blockSize = data.u32();
    const least = BLOCK_HEADER + count * (LINE_SIZE + (hasColumns ? COLUMN_SIZE : 0));
    if (blockSize < least) {
      throw data.error('lines.block', `${count} lines in a block of ${hex(blockSize)} bytes`, at);
    }
    data.need(at, blockSize);
    const columns = data.position + count * LINE_SIZE;
    for (let i = 0; i < count; i++) {
      const start = data.u32();
      const flags = data.u32();
      const line = flags & 0xff_ffff;
      if (NOT_A_LINE.has(line)) continue;
      entries.push({
        offset: start,
        line,
        column: hasColumns ? data.u16At(columns + i * COLUMN_SIZE) : 0,
        isStatement: flags >>> 31 === 1,
        file,
      });
    }
    data.position = at + blockSize;
  }
  entries.sort((a, b) => a.offset - b.offset);
  return { section, offset, size, entries };
}

/** Where an inlined function begins: the line that the annotations of its inline sites count from. */
export interface InlineeSource {
  /** Offset in DEBUG_S_FILECHKSMS. */
  readonly file: number;
  /** From 1. */
  readonly line: number;
}

const EXTRA_FILES = 1;

/** DEBUG_S_INLINEELINES: by the IPI index of the inlined function's LF_FUNC_ID or LF_MFUNC_ID. */
export function readInlineeSources(data: ByteReader): Map<number, InlineeSource> {
  const sources = new Map<number, InlineeSource>();
  const hasExtraFiles = data.u32() === EXTRA_FILES;
  while (data.remaining >= 12) {
    const inlinee = data.u32();
    sources.set(inlinee, { file: data.u32(), line: data.u32() });
    if (hasExtraFiles) data.skip(data.u32() * 4);
  }
  return sources;
}
