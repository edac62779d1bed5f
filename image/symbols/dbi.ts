import { ByteReader } from '../reader.js';
import { hex } from '../text.js';

const NO_STREAM = 0xffff;
const HEADER_SIZE = 64;
const CONTRIBUTION_SIZE = 28;
const CONTRIBUTIONS_V60 = 0xeffe0000 + 19970605;
const CONTRIBUTIONS_V2 = 0xeffe0000 + 20140516;

/** One chunk of an object file in the image: what `DataCrc` was computed over, before relocation. */
export interface SectionContribution {
  /** One-based section of the image. */
  readonly section: number;
  /** Bytes from the section's start. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
  /** IMAGE_SCN_* of the chunk. */
  readonly characteristics: number;
  /** Index into `Pdb.modules`. */
  readonly module: number;
  /** CRC of its bytes. */
  readonly dataCrc: number;
  /** CRC of the chunk's relocations; lld leaves 0. */
  readonly relocCrc: number;
  /** One-based section of the object file; only in version 2 of the list. */
  readonly coffSection?: number;
}

/** What the DBI stream says of an object file. */
export interface DbiModule {
  /** The object file as given to the linker; of a library's member its name in the library. */
  readonly name: string;
  /** The library, or the same as `name`. */
  readonly objectFile: string;
  /** The module's first contribution. */
  readonly contribution: SectionContribution;
  /** Stream of its symbols; undefined when it has none. */
  readonly stream?: number;
  /** Bytes of symbol records in that stream. */
  readonly symbolBytes: number;
  /** Bytes of C11 line information behind them, which nobody writes any more. */
  readonly c11Bytes: number;
  /** Bytes of C13 line information behind those. */
  readonly c13Bytes: number;
}

/** The DBI stream (stream 3). https://llvm.org/docs/PDB/DbiStream.html */
export interface Dbi {
  /** Of the stream's format: 19990903 is the usual one. */
  readonly version: number;
  /** How often the image was linked into this PDB. */
  readonly age: number;
  /** IMAGE_FILE_MACHINE_*. */
  readonly machine: number;
  /** Was it linked incrementally? */
  readonly isIncrementallyLinked: boolean;
  /** Were private symbols left out? */
  readonly isStripped: boolean;
  /** Number of the stream; undefined: none. */
  readonly globalsStream?: number;
  /** Number of the stream; undefined: none. */
  readonly publicsStream?: number;
  /** Number of the stream; undefined: none. */
  readonly symbolRecordStream?: number;
  /** In the linker's order. */
  readonly modules: readonly DbiModule[];
  /** In the order of the file. */
  readonly sectionContributions: readonly SectionContribution[];
  /** Streams of the optional debug header, by their names in microsoft-pdb's dbi.h. */
  readonly debugStreams: Readonly<Partial<Record<DebugStreamName, number>>>;
}

const debugStreamNames = [
  'fpo',
  'exception',
  'fixup',
  'omapToSrc',
  'omapFromSrc',
  'sectionHdr',
  'tokenRidMap',
  'xdata',
  'pdata',
  'newFpo',
  'sectionHdrOrig',
] as const;
/** Name of a stream of the optional debug header. */
export type DebugStreamName = (typeof debugStreamNames)[number];

/** @throws ImageError `dbi.signature`, `dbi.contributions`, `truncated`, `string` */
export function readDbi(bytes: Uint8Array, file?: string): Dbi {
  const reader = new ByteReader(bytes, 'DBI stream', file);
  const header = reader.slice(0, HEADER_SIZE, 'DBI stream');
  if (header.i32At(0) !== -1) throw header.error('dbi.signature', 'a DBI stream of before VC 4.1', 0);
  const flags = header.u16At(56);
  let position = HEADER_SIZE;
  const substream = (sizeAt: number, name: string): ByteReader => {
    const part = reader.slice(position, header.u32At(sizeAt), name);
    position += part.length;
    return part;
  };
  const modules = substream(24, 'DBI modules');
  const contributions = substream(28, 'DBI section contributions');
  substream(32, 'DBI section map');
  substream(36, 'DBI source information');
  substream(40, 'DBI type server map');
  substream(52, 'DBI edit and continue');
  const debugStreams = substream(48, 'DBI optional debug header');
  return {
    version: header.u32At(4),
    age: header.u32At(8),
    machine: header.u16At(58),
    isIncrementallyLinked: (flags & 1) !== 0,
    isStripped: (flags & 2) !== 0,
    ...streamAt(header, 12, 'globalsStream'),
    ...streamAt(header, 16, 'publicsStream'),
    ...streamAt(header, 20, 'symbolRecordStream'),
    modules: readModules(modules),
    sectionContributions: readContributions(contributions),
    debugStreams: Object.assign(
      {},
      ...debugStreamNames.map((name, i) =>
        i * 2 + 2 > debugStreams.length ? {} : streamAt(debugStreams, i * 2, name),
      ),
    ),
  };
}

function streamAt<Name extends string>(
  reader: ByteReader,
  offset: number,
  name: Name,
): { [N in Name]?: number } {
  const stream = reader.u16At(offset);
  return stream === NO_STREAM ? {} : ({ [name]: stream } as { [N in Name]?: number });
}

function readModules(reader: ByteReader): DbiModule[] {
  const modules: DbiModule[] = [];
  while (reader.remaining > 0) {
    const start = reader.position;
    const contribution = contributionAt(reader, start + 4);
    const symbolBytes = reader.u32At(start + 36);
    const c11Bytes = reader.u32At(start + 40);
    const c13Bytes = reader.u32At(start + 44);
    const stream = streamAt(reader, start + 34, 'stream');
    reader.skip(64);
    const name = reader.cString(undefined, 'utf-8');
    const objectFile = reader.cString(undefined, 'utf-8');
    reader.align(4);
    modules.push({ name, objectFile, contribution, ...stream, symbolBytes, c11Bytes, c13Bytes });
  }
  return modules;
}

function readContributions(reader: ByteReader): SectionContribution[] {
  if (reader.length === 0) return [];
  const version = reader.u32At(0);
  if (version !== CONTRIBUTIONS_V60 && version !== CONTRIBUTIONS_V2) {
    throw reader.error('dbi.contributions', `unknown version ${hex(version)}`, 0);
  }
  const size = version === CONTRIBUTIONS_V2 ? CONTRIBUTION_SIZE + 4 : CONTRIBUTION_SIZE;
  const contributions: SectionContribution[] = [];
  for (let at = 4; at + size <= reader.length; at += size) {
    const contribution: SectionContribution & { coffSection?: number } = contributionAt(reader, at);
    if (size > CONTRIBUTION_SIZE) contribution.coffSection = reader.u32At(at + CONTRIBUTION_SIZE);
    contributions.push(contribution);
  }
  return contributions;
}

function contributionAt(reader: ByteReader, at: number): SectionContribution {
  return {
    section: reader.u16At(at),
    offset: reader.u32At(at + 4),
    size: reader.u32At(at + 8),
    characteristics: reader.u32At(at + 12),
    module: reader.u16At(at + 16),
    dataCrc: reader.u32At(at + 20),
    relocCrc: reader.u32At(at + 24),
  };
}
