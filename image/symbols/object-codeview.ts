import { ByteReader } from '../reader.js';
import { hex } from '../text.js';
import { type CodeViewSymbol, readSymbolRecords } from './codeview.js';
import type { ObjectSection } from './object.js';
import { relocationTypes } from './object-relocations.js';

const CV_SIGNATURE_C13 = 4;
const DEBUG_S_SYMBOLS = 0xf1;

/**
 * The symbol records of one `.debug$S` section: the signature and then subsections of type, length and data.
 * @throws ImageError `codeview.signature`, `codeview.record`, `truncated`
 */
export function readDebugS(section: ObjectSection, machine: number, file?: string): CodeViewSymbol[] {
  const place = `.debug$S, section ${section.number}`;
  const reader = new ByteReader(relocated(section, machine, place, file), place, file);
  if (reader.length === 0) return [];
  const signature = reader.u32();
  if (signature !== CV_SIGNATURE_C13) {
    throw reader.error('codeview.signature', `signature ${hex(signature)} instead of 4`, 0);
  }
  const symbols: CodeViewSymbol[] = [];
  while (reader.remaining > 0) {
    const type = reader.u32();
    const length = reader.u32();
    const end = reader.position + length;
    reader.need(reader.position, length);
    if (type === DEBUG_S_SYMBOLS) for (const symbol of readSymbolRecords(reader, end)) symbols.push(symbol);
    reader.position = end;
    reader.align(4);
  }
  return symbols;
}

/** The section with the places of its records filled in: SECREL an offset, SECTION a section number. */
function relocated(section: ObjectSection, machine: number, place: string, file?: string): Uint8Array {
  const { SECREL, SECTION } = relocationTypes(machine);
  const bytes = new Uint8Array(section.data);
  const view = new DataView(bytes.buffer);
  const reader = new ByteReader(bytes, place, file);
  for (const { offset, type, symbol } of section.relocations) {
    if (type === SECREL) view.setUint32(offset, reader.u32At(offset) + symbol.value, true);
    if (type === SECTION)
      view.setUint16(offset, reader.u16At(offset) + Math.max(0, symbol.sectionNumber), true);
  }
  return bytes;
}
