import { formatGuid } from '../debug.js';
import { ByteReader } from '../reader.js';

const VERSION_VC70 = 20000404;

/** The PDB information stream (stream 1). https://llvm.org/docs/PDB/PdbStream.html */
export interface PdbInfo {
  /** Of the format: 20000404 is that of Visual C++ 7 and later. */
  readonly version: number;
  /** Seconds since 1970 when the PDB was made. */
  readonly signature: number;
  /** How often the PDB was written; the image carries the age of the DBI stream instead. */
  readonly age: number;
  /** `FB9FB7D5-8AE2-47B9-9889-73DAF157F7AB` */
  readonly guid: string;
  /** Streams with a name (`/names`, `/LinkInfo`, `srcsrv`) instead of a fixed index. */
  readonly namedStreams: ReadonlyMap<string, number>;
}

/** @throws ImageError `pdb.version`, `truncated`, `string` */
export function readPdbInfo(bytes: Uint8Array, file?: string): PdbInfo {
  const reader = new ByteReader(bytes, 'PDB information stream', file);
  const version = reader.u32();
  if (version < VERSION_VC70) throw reader.error('pdb.version', `version ${version} is older than VC 7.0`, 0);
  const signature = reader.u32();
  const age = reader.u32();
  const guid = formatGuid(reader.take(16));
  return { version, signature, age, guid, namedStreams: readNamedStreams(reader) };
}

/** A serialised hash table: names' offsets into a string buffer → stream indices. */
function readNamedStreams(reader: ByteReader): Map<string, number> {
  const length = reader.u32();
  const strings = new ByteReader(reader.take(length), 'PDB named streams', reader.file);
  const size = reader.u32();
  reader.skip(4); // capacity
  for (const _bitVector of ['present', 'deleted']) reader.skip(reader.u32() * 4);
  reader.need(reader.position, size * 8);
  const streams = new Map<string, number>();
  for (let i = 0; i < size; i++) {
    const name = strings.cStringAt(reader.u32(), undefined, 'utf-8');
    streams.set(name, reader.u32());
  }
  return streams;
}
