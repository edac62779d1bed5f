import type { ByteReader } from '../../reader.js';
import { type InlineeSource, type LineContribution, readInlineeSources, readLines } from './line-blocks.js';
import { readSourceFiles, type SourceFile, type StringTable } from './source-files.js';
import { DEBUG_S, readSubsections } from './subsections.js';

/** What one object file says of lines. */
export interface ModuleLines {
  /** One for each function, usually. */
  readonly contributions: readonly LineContribution[];
  /** By their offsets, as lines name them. */
  readonly files: ReadonlyMap<number, SourceFile>;
  /** By IPI index. */
  readonly inlinees: ReadonlyMap<number, InlineeSource>;
}

export const NO_LINES: ModuleLines = { contributions: [], files: new Map(), inlinees: new Map() };

/** @throws ImageError `lines.block`, `truncated`, `string` */
export function readModuleLines(reader: ByteReader, strings: StringTable): ModuleLines {
  const contributions: LineContribution[] = [];
  const files = new Map<number, SourceFile>();
  const inlinees = new Map<number, InlineeSource>();
  for (const { kind, data } of readSubsections(reader)) {
    if (kind === DEBUG_S.LINES) contributions.push(readLines(data));
    else if (kind === DEBUG_S.FILECHKSMS)
      for (const [offset, file] of readSourceFiles(data, strings)) files.set(offset, file);
    else if (kind === DEBUG_S.INLINEELINES)
      for (const [inlinee, source] of readInlineeSources(data)) inlinees.set(inlinee, source);
  }
  return { contributions, files, inlinees };
}
