import { ByteReader } from '../reader.js';

const HASH_SIGNATURE = 0xffffffff;
const HASH_HEADER_SIZE = 16;
const HASH_RECORD_SIZE = 8;
const PUBLICS_HEADER_SIZE = 28;

/**
 * Offsets in the symbol record stream of the symbols that a globals or publics stream lists, ascending.
 * The record stream may hold more: those that an incremental link has given up.
 * https://llvm.org/docs/PDB/GlobalStream.html, https://llvm.org/docs/PDB/PublicStream.html
 * @throws ImageError `pdb.symbolHash`, `truncated`
 */
export function symbolOffsets(bytes: Uint8Array, of: 'globals' | 'publics', file?: string): Uint32Array {
  const reader = new ByteReader(bytes, `PDB ${of} stream`, file);
  const start = of === 'publics' ? PUBLICS_HEADER_SIZE : 0;
  if (reader.u32At(start) !== HASH_SIGNATURE) throw reader.error('pdb.symbolHash', 'no hash header', start);
  const count = Math.floor(reader.u32At(start + 8) / HASH_RECORD_SIZE);
  const records = reader.slice(start + HASH_HEADER_SIZE, count * HASH_RECORD_SIZE, `PDB ${of} hash records`);
  // Offsets are stored plus one.
  return Uint32Array.from({ length: count }, (_, i) => records.u32At(i * HASH_RECORD_SIZE) - 1).sort();
}
