import { ImageError } from '../error.js';
import type { PeImage } from '../image.js';
import { ByteReader } from '../reader.js';
import { hex } from '../text.js';
import { symbolsFromCoff } from './coff-symbols.js';
import { symbolsFromExports } from './export-symbols.js';
import { type MapFile, readMapFile } from './map-file.js';
import { MsfFile } from './msf.js';
import { DECORATES_NAMES } from './names.js';
import { type Pdb, readPdb } from './pdb.js';
import { pdbMatches, pdbReference } from './pdb-match.js';
import { type SymbolTable, symbolTable } from './symbol-table.js';

/** Symbols of an image, and where they are from. */
export interface FoundSymbols {
  /** The symbols. */
  readonly table: SymbolTable;
  /** Where they are from. */
  readonly origin: SymbolsOrigin;
  /** The whole PDB, when that is where the symbols come from. */
  readonly pdb?: Pdb;
}

/** Where symbols are from. */
export interface SymbolsOrigin {
  /** From best to worst; `none`: the image has not even exports. */
  readonly kind: 'pdb' | 'map' | 'coff' | 'exports' | 'none';
  /** The PDB or map file. */
  readonly file?: string;
  /** Files that were found but belong to another build or cannot be read, and why. */
  readonly passedOver: readonly ImageError[];
}

/**
 * The symbols of an image in the contents of a PDB or map. A PDB must have the GUID and age that the image asks for, a map
 * its load address, entry point and time stamp.
 * @param file what errors call it; `.pdb` says that it is meant to be a PDB
 * @throws ImageError when it does not match or is malformed
 */
export function symbolsFromFile(
  image: PeImage,
  bytes: Uint8Array,
  file: string,
  passedOver: readonly ImageError[] = [],
): FoundSymbols {
  if (MsfFile.isMsf(bytes) || /\.pdb$/i.test(file)) {
    const pdb = readPdb(bytes, { file });
    checkPdb(image, pdb, file);
    return { table: pdb.symbols, origin: { kind: 'pdb', file, passedOver }, pdb };
  }
  const map = readMapFile(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes), {
    file,
    decoratesNames: DECORATES_NAMES[image.machine],
  });
  checkMap(image, map, file);
  return { table: map.symbols, origin: { kind: 'map', file, passedOver } };
}

function checkPdb(image: PeImage, pdb: Pdb, file: string): void {
  if (pdbMatches(image, pdb)) return;
  const wanted = pdbReference(image);
  throw new ImageError({
    rule: 'pdb.mismatch',
    place: 'PDB information stream',
    message: wanted
      ? `GUID ${pdb.guid} age ${pdb.age}, the image asks for ${wanted.guid} age ${wanted.age}`
      : 'the image names no PDB',
    file,
    hint: 'use the PDB that the linker wrote together with this image',
  });
}

function checkMap(image: PeImage, map: MapFile, file: string): void {
  const { imageBase, addressOfEntryPoint } = image.optionalHeader;
  const { timeDateStamp } = image.fileHeader;
  const entry = map.entryPoint;
  const section = entry && image.sections[entry.section - 1];
  const differences = [
    map.preferredLoadAddress !== imageBase &&
      `load address ${hex(map.preferredLoadAddress)} instead of ${hex(imageBase)}`,
    map.timeDateStamp !== undefined &&
      map.timeDateStamp !== timeDateStamp &&
      `time stamp ${hex(map.timeDateStamp)} instead of ${hex(timeDateStamp)}`,
    entry &&
      section &&
      section.virtualAddress + entry.offset !== addressOfEntryPoint &&
      `entry point ${hex(section.virtualAddress + entry.offset)} instead of ${hex(addressOfEntryPoint)}`,
  ].filter((difference) => typeof difference === 'string');
  if (differences.length === 0) return;
  throw new ImageError({
    rule: 'map.mismatch',
    place: 'map file',
    message: `the map is of another build: ${differences.join(', ')}`,
    file,
    hint: 'use the map that the linker wrote together with this image',
  });
}

/** The symbols that an image itself has: its COFF symbol table and its exports. */
export function symbolsInImage(image: PeImage, passedOver: readonly ImageError[] = []): FoundSymbols {
  const coff = symbolsFromCoff(image, new ByteReader(image.bytes, 'file', image.file));
  const exported = symbolsFromExports(image);
  const known = new Set(coff.all.map(({ rva, name }) => `${rva} ${name}`));
  const table = symbolTable([
    ...coff.all,
    ...exported.all.filter(({ rva, name }) => !known.has(`${rva} ${name}`)),
  ]);
  const kind = coff.all.length > 0 ? 'coff' : exported.all.length > 0 ? 'exports' : 'none';
  return { table, origin: { kind, passedOver } };
}
