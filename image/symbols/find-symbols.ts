import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, parse } from 'node:path';
import { ImageError } from '../error.js';
import { type PeImage, readImage } from '../image.js';
import { ByteReader } from '../reader.js';
import { hex } from '../text.js';
import { symbolsFromCoff } from './coff-symbols.js';
import { symbolsFromExports } from './export-symbols.js';
import { type MapFile, readMapFile } from './map-file.js';
import { MsfFile } from './msf.js';
import { baseName } from './names.js';
import { type Pdb, readPdb } from './pdb.js';
import { pdbMatches, pdbReference } from './pdb-match.js';
import { type SymbolTable, symbolTable } from './symbol-table.js';

export interface FoundSymbols {
  readonly table: SymbolTable;
  readonly origin: SymbolsOrigin;
  /** The whole PDB, when that is where the symbols come from. */
  readonly pdb?: Pdb;
}

export interface SymbolsOrigin {
  /** From best to worst; `none`: the image has not even exports. */
  readonly kind: 'pdb' | 'map' | 'coff' | 'exports' | 'none';
  /** The PDB or map file. */
  readonly file?: string;
  /** Files that were found but belong to another build or cannot be read, and why. */
  readonly passedOver: readonly ImageError[];
}

/**
 * Finds the symbols of an image: in the PDB that its debug directory names, beside the image; else in
 * `IMAGE.map` beside it; else in its COFF symbol table and exports.
 *
 * A PDB must have the GUID and age that the image asks for, a map its load address, entry point and time stamp.
 * @param of the image's path, or the image as read and the path it came from
 * @param options.symbolsFile a PDB or map to use instead; it must match
 * @throws ImageError when `symbolsFile` does not match or is malformed; for the others see `origin.passedOver`.
 * What `node:fs` throws when the image or `symbolsFile` cannot be read.
 */
export function findSymbols(
  of: string | { readonly image: PeImage; readonly path: string },
  options: { readonly symbolsFile?: string | undefined } = {},
): FoundSymbols {
  const path = typeof of === 'string' ? of : of.path;
  const image = typeof of === 'string' ? readImage(readFileSync(path), { file: path }) : of.image;
  if (options.symbolsFile !== undefined) return readSymbolsFile(image, options.symbolsFile, []);
  const passedOver: ImageError[] = [];
  for (const file of candidates(image, path)) {
    if (!existsSync(file)) continue;
    try {
      return readSymbolsFile(image, file, passedOver);
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      passedOver.push(error);
    }
  }
  return symbolsInImage(image, passedOver);
}

/** The PDB under the name in the image and under the image's own, `demo.sys.map`, `demo.map`. */
function candidates(image: PeImage, path: string): string[] {
  const folder = dirname(path);
  const { name, base } = parse(path);
  const reference = pdbReference(image);
  const names = [`${base}.map`, `${name}.map`];
  if (reference) names.unshift(baseName(reference.pdbFileName), `${name}.pdb`);
  return [...new Set(names)].map((candidate) => join(folder, candidate));
}

function readSymbolsFile(image: PeImage, file: string, passedOver: readonly ImageError[]): FoundSymbols {
  const bytes = readFileSync(file);
  if (MsfFile.isMsf(bytes) || /\.pdb$/i.test(file)) {
    const pdb = readPdb(bytes, { file });
    checkPdb(image, pdb, file);
    return { table: pdb.symbols, origin: { kind: 'pdb', file, passedOver }, pdb };
  }
  const map = readMapFile(bytes.toString('utf8'), { file, isX86: image.machine === 'I386' });
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

function symbolsInImage(image: PeImage, passedOver: readonly ImageError[]): FoundSymbols {
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
