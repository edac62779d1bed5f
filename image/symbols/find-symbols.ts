import { readFileSync, statSync } from 'node:fs';
import { dirname, join, parse } from 'node:path';
import { ImageError } from '../error.js';
import { type PeImage, readImage } from '../image.js';
import { readNamedFile } from '../named-file.js';
import { withMapNames } from './map-names.js';
import { baseName } from './names.js';
import { pdbReference } from './pdb-match.js';
import { type FoundSymbols, symbolsFromFile, symbolsInImage } from './symbols-file.js';

/**
 * Finds the symbols of an image: in the PDB that its debug directory names, beside the image; else in
 * `IMAGE.map` beside it; else in its COFF symbol table and exports.
 *
 * A PDB must have the GUID and age that the image asks for, a map its load address, entry point and time stamp.
 * @param of the image's path, or the image as read and the path it came from
 * @param options.symbolsFile a PDB or map to use instead; it must match
 * @throws ImageError when `symbolsFile` does not match or is malformed; for the others see `origin.passedOver`.
 * As {@link readNamedFile} when the image or `symbolsFile` cannot be read.
 */
export function findSymbols(
  of: string | { readonly image: PeImage; readonly path: string },
  options: { readonly symbolsFile?: string | undefined } = {},
): FoundSymbols {
  const path = typeof of === 'string' ? of : of.path;
  const image = typeof of === 'string' ? readImage(readNamedFile(path), { file: path }) : of.image;
  if (options.symbolsFile !== undefined)
    return symbolsFromFile(image, readNamedFile(options.symbolsFile), options.symbolsFile);
  const passedOver: ImageError[] = [];
  for (const file of candidates(image, path)) {
    try {
      const bytes = readCandidate(file);
      if (bytes === undefined) continue;
      return symbolsFromFile(image, bytes, file, passedOver);
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      passedOver.push(error);
    }
  }
  return symbolsInImage(image, passedOver);
}

/** There is no such file, or there cannot be one. */
const ABSENT = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ERR_INVALID_ARG_VALUE']);

/**
 * What a file holds that may lie beside an image; undefined when there is none. The name comes from the image: it may be
 * empty, a folder's, or none that a file can have.
 * @throws ImageError `symbols.unreadable` for a file that is there
 */
function readCandidate(file: string): Uint8Array | undefined {
  try {
    return statSync(file).isFile() ? readFileSync(file) : undefined;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (ABSENT.has(code)) return undefined;
    throw new ImageError({
      rule: 'symbols.unreadable',
      place: 'file',
      file,
      message: `cannot be read: ${code}`,
      hint: 'without it, only names from a map or the exports are known',
      cause: error,
    });
  }
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

/**
 * The same; where the symbols come from a PDB and a map of the same build lies beside the image, with the names that only
 * the map has. For comparing builds: it reads both files.
 */
export function findAllSymbols(...parameters: Parameters<typeof findSymbols>): FoundSymbols {
  const [of] = parameters;
  const path = typeof of === 'string' ? of : of.path;
  const image = typeof of === 'string' ? readImage(readNamedFile(path), { file: path }) : of.image;
  const found = findSymbols({ image, path }, parameters[1]);
  const { pdb } = found;
  const { passedOver } = found.origin;
  if (pdb === undefined) return found;
  for (const file of candidates(image, path).filter((candidate) => candidate.endsWith('.map'))) {
    try {
      const bytes = readCandidate(file);
      if (bytes === undefined) continue;
      const map = symbolsFromFile(image, bytes, file);
      return { ...found, table: withMapNames(pdb, map.table, image) };
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      return { ...found, origin: { ...found.origin, passedOver: [...passedOver, error] } };
    }
  }
  return found;
}
