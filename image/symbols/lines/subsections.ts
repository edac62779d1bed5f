import { ByteReader } from '../../reader.js';

/** Subsections of a module's C13 line information (cvinfo.h, DEBUG_S_SUBSECTION_TYPE). */
export const DEBUG_S = {
  LINES: 0xf2,
  STRINGTABLE: 0xf3,
  FILECHKSMS: 0xf4,
  INLINEELINES: 0xf6,
} as const;

/** A subsection that its reader is to leave out. */
const DEBUG_S_IGNORE = 0x8000_0000;
const HEADER_SIZE = 8;

export interface Subsection {
  readonly kind: number;
  readonly data: ByteReader;
}

/**
 * Takes C13 line information apart: each subsection is its kind, its length and as many bytes, at multiples of four.
 * https://llvm.org/docs/PDB/ModiStream.html
 * @throws ImageError `truncated`
 */
export function readSubsections(reader: ByteReader): Subsection[] {
  const subsections: Subsection[] = [];
  while (reader.remaining >= HEADER_SIZE) {
    const kind = reader.u32();
    const length = reader.u32();
    const data = new ByteReader(reader.take(length), reader.place, reader.file);
    reader.align(4);
    if ((kind & DEBUG_S_IGNORE) === 0) subsections.push({ kind, data });
  }
  return subsections;
}
