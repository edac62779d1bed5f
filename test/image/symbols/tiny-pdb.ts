import { writeMsf } from '../../../campaign/fuzz/msf-writer.js';

/** Little-endian bytes: numbers as u32, `u16(n)`, strings with their NUL. */
export type Piece = number | string | Uint8Array | { u16: number };
export const u16 = (value: number): Piece => ({ u16: value });

export function bytes(...pieces: readonly Piece[]): Uint8Array {
  const parts = pieces.map((piece) => {
    if (piece instanceof Uint8Array) return piece;
    if (typeof piece === 'string') return new TextEncoder().encode(`${piece}\0`);
    if (typeof piece === 'number') return new Uint8Array(new Uint32Array([piece]).buffer);
    return new Uint8Array(new Uint16Array([piece.u16]).buffer);
  });
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** A CodeView record, with its length and padding. */
export function record(kind: number, ...pieces: readonly Piece[]): Uint8Array {
  const data = bytes(...pieces);
  const padded = bytes(data, new Uint8Array(-data.length & 3));
  return bytes(u16(padded.length + 2), u16(kind), padded);
}

export interface TinyPdb {
  readonly guid?: Uint8Array;
  readonly age?: number;
  readonly machine?: number;
  readonly modules?: readonly {
    readonly name: string;
    readonly library?: string;
    readonly symbols: readonly Uint8Array[];
  }[];
  readonly publics?: readonly Uint8Array[];
  readonly globals?: readonly Uint8Array[];
  readonly items?: readonly Uint8Array[];
  /** Pieces of the section contribution substream; without it there is none. */
  readonly contributions?: readonly Piece[];
  /** Names, virtual addresses and sizes. */
  readonly sections?: readonly (readonly [string, number, number])[];
  readonly namedStreams?: readonly (readonly [string, number])[];
  /** All modules claim the first one's stream. */
  readonly sharedStream?: boolean;
  /** Says that there is an OMAP stream. */
  readonly omap?: boolean;
  /** How often the publics stream lists each public. */
  readonly repeatPublics?: number;
  readonly blockSize?: number;
  readonly scattered?: boolean;
}

export const GUID = Uint8Array.from({ length: 16 }, (_, i) => i * 0x11);

/** A PDB of as few streams as can be: 1 information, 3 DBI, 4 IPI, 5 section headers, 6 globals, 7 publics, 8 records, 9… modules. */
export function tinyPdb(pdb: TinyPdb): Uint8Array {
  const { modules = [], publics = [], globals = [], sections = [['.text', 0x1000, 0x1000]] } = pdb;
  const names = pdb.namedStreams ?? [];
  const nameBytes = bytes(...names.map(([name]) => name));
  let nameOffset = 0;
  const pairs = names.flatMap(([name, stream]) => {
    const offset = nameOffset;
    nameOffset += name.length + 1;
    return [offset, stream];
  });
  const information = bytes(
    ...[20000404, 0x65000000, 99, pdb.guid ?? GUID, nameBytes.length, nameBytes],
    ...[names.length, 8, 1, 0xff, 0, ...pairs, 20140508],
  );
  const sectionHeaders = sections.map(([name, address, size]) => {
    const header = new Uint8Array(40);
    header.set(new TextEncoder().encode(name));
    header.set(bytes(size, address), 8);
    return header;
  });
  const recordStream = bytes(...publics, ...globals);
  const offsets = [...publics, ...globals].map((_, i, all) => bytes(...all.slice(0, i)).length);
  const hash = (list: readonly number[]) =>
    bytes(
      0xffffffff,
      0xeffe0000 + 19990810,
      list.length * 8,
      0,
      ...list.flatMap((offset) => [offset + 1, 1]),
    );
  const moduleStreams = modules.map(({ symbols }) => bytes(4, ...symbols));
  const moduleInfo = modules.map(({ name, library }, i) => {
    const contribution = [1, 0, 0, 0, 0, 0, 0];
    const sizes = [moduleStreams[pdb.sharedStream ? 0 : i]?.length ?? 0, 0, 0];
    const info = bytes(
      0,
      ...contribution,
      u16(0),
      u16(pdb.sharedStream ? 9 : 9 + i),
      ...sizes,
      0,
      0,
      0,
      0,
      name,
      library ?? name,
    );
    return bytes(info, new Uint8Array(-info.length & 3));
  });
  const contributions = bytes(...(pdb.contributions ?? []));
  const modulesBytes = bytes(...moduleInfo);
  const debugHeader = bytes(
    ...Array.from({ length: 11 }, (_, i) => u16(i === 5 || (i === 4 && pdb.omap) ? 5 : 0xffff)),
  );
  const dbi = bytes(
    ...[0xffffffff, 19990903, pdb.age ?? 1, u16(6), u16(0x8e00), u16(7), u16(0), u16(8), u16(0)],
    ...[
      modulesBytes.length,
      contributions.length,
      0,
      0,
      0,
      0,
      debugHeader.length,
      0,
      u16(0),
      u16(pdb.machine ?? 0x8664),
      0,
    ],
    ...[modulesBytes, contributions, debugHeader],
  );
  const items = bytes(...(pdb.items ?? []));
  const ipi = bytes(
    20040203,
    56,
    0x1000,
    0x1000 + (pdb.items?.length ?? 0),
    items.length,
    new Uint8Array(36),
    items,
  );
  const none = new Uint8Array(0);
  const listed = Array.from({ length: pdb.repeatPublics ?? 1 }, () =>
    offsets.slice(0, publics.length),
  ).flat();
  const publicsStream = bytes(new Uint8Array(28), hash(listed));
  const streams = [
    ...[none, information, none, dbi, ipi, bytes(...sectionHeaders), hash(offsets.slice(publics.length))],
    ...[publicsStream, recordStream, ...moduleStreams],
  ];
  return writeMsf(streams, pdb.blockSize ?? 512, pdb.scattered);
}
