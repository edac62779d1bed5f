import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import type { LineTable, SourceFile, SourceFrame, SourceLine } from '../image/index.js';
import type { LoadedImage } from '../loader/index.js';

const HASHES: Readonly<Record<SourceFile['checksumKind'], string | undefined>> = {
  none: undefined,
  MD5: 'md5',
  SHA1: 'sha1',
  SHA256: 'sha256',
};

/** A source file as it lies on this machine. */
export interface SourceText {
  readonly path: string;
  /** The first line is `lines[0]`. */
  readonly lines: readonly string[];
  /** Is it what was compiled, by the checksum in the PDB? Undefined when the PDB has none. */
  readonly isSame: boolean | undefined;
}

/** Finds the source files that PDBs name, and keeps them. */
export class SourceFiles {
  readonly #texts = new Map<string, SourceText | undefined>();

  /** @param folders where to look first, before the folder of the PDB and the working folder */
  constructor(private readonly folders: readonly string[] = []) {}

  /**
   * The file by its own path, else by the end of its path in one of the folders, the longest end first. A file whose
   * checksum agrees is preferred.
   */
  text(file: SourceFile, lines: LineTable): SourceText | undefined {
    const key = `${lines.pdbFile ?? ''}\0${file.name}`;
    if (!this.#texts.has(key)) this.#texts.set(key, this.#find(file, lines));
    return this.#texts.get(key);
  }

  #find(file: SourceFile, { pdbFile }: LineTable): SourceText | undefined {
    const folders = [...this.folders, ...(pdbFile === undefined ? [] : [dirname(pdbFile)]), process.cwd()];
    const parts = file.name.split(/[\\/]/).filter((part) => part !== '' && !part.endsWith(':'));
    const ends = parts.map((_, index) => parts.slice(index)).filter((end) => !end.includes('..'));
    const candidates = [file.name, ...ends.flatMap((end) => folders.map((folder) => join(folder, ...end)))];
    const found = candidates.filter((path) => existsSync(path)).map((path) => read(path, file));
    return found.find((text) => text?.isSame === true) ?? found.find((text) => text !== undefined);
  }
}

function read(path: string, file: SourceFile): SourceText | undefined {
  try {
    const bytes = readFileSync(path);
    const hash = HASHES[file.checksumKind];
    const isSame =
      hash === undefined ? undefined : createHash(hash).update(bytes).digest('hex') === file.checksum;
    return { path, lines: bytes.toString('utf8').split(/\r?\n/), isSame };
  } catch {
    // A folder of that name, or a file that may not be read: as if it were not there.
    return undefined;
  }
}

/** The innermost source line of a place of code, with what was inlined there. */
export function sourceFrames(image: LoadedImage | undefined, address: bigint): readonly SourceFrame[] {
  const lines = image?.symbols.lines;
  return image === undefined || lines === undefined ? [] : lines.framesAt(image.rva(address));
}

/** `demo.c:42` */
export function shortPlace({ file, line }: SourceLine): string {
  return `${file.name.split(/[\\/]/).at(-1)}:${line}`;
}

/** `` `demo.c:42` ``, or with a module: `` `demo!demo.c:42` ``. */
export interface SourcePlace {
  readonly module?: string | undefined;
  readonly file: string;
  readonly line: number;
}

/** A place in a source file, written as WinDbg does, between grave accents; undefined when the text is none. */
export function parseSourcePlace(text: string): SourcePlace | undefined {
  const match = /^`(?:([^!`]+)!)?([^`]+?):(\d+)`$/.exec(text.trim());
  if (match === null) return undefined;
  return { module: match[1], file: match[2] ?? '', line: Number(match[3]) };
}

/**
 * Where the code of a line begins, in every one of these images that has some. A line without code is the next one that
 * has, in the image where that is nearest.
 */
export function addressesOfLine(
  images: readonly LoadedImage[],
  { module, file, line }: SourcePlace,
  sources: SourceFiles,
): readonly bigint[] {
  const found = images.flatMap((image) => {
    const { lines } = image.symbols;
    if (lines === undefined) return [];
    if (module !== undefined && image.moduleName.toLowerCase() !== module.toLowerCase()) return [];
    const places = lines.addressesOf(nameInPdb(file, lines, sources), line);
    return places.rvas.length === 0 ? [] : [{ ...places, image }];
  });
  const nearest = Math.min(...found.map((each) => each.line));
  return found
    .filter((each) => each.line === nearest)
    .flatMap(({ image, rvas }) => rvas.map((rva) => image.address(rva)));
}

/** A file that is named by its path on this machine may have another one in the PDB. */
function nameInPdb(file: string, lines: LineTable, sources: SourceFiles): string {
  if (!isAbsolute(file)) return file;
  const path = resolve(file);
  return lines.files.find((known) => sources.text(known, lines)?.path === path)?.name ?? file;
}
