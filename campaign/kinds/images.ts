import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import * as v from 'valibot';
import type { BuildSource } from '../../builder/index.js';
import { findSymbols, readImage } from '../../image/index.js';
import type { DifferentialCall } from '../../proof/index.js';
import { CampaignError } from '../error.js';
import type { FileReference } from '../unit.js';
import type { FileIntake, UnitContext } from './kind.js';
import { fileReference } from './range.js';

/** An image of a plan with the PDB or map beside it. */
export const imageOfUnit = v.strictObject({
  image: fileReference,
  symbols: v.optional(fileReference),
});
export type ImageOfUnit = v.InferOutput<typeof imageOfUnit>;

const NUMBER = /^-?(0x[0-9a-f]+|\d+)$/i;

/** `F 1 0x2` */
export const callText = v.pipe(
  v.string(),
  v.check((text) => {
    const [name = '', ...parameters] = text.trim().split(/\s+/);
    return name !== '' && parameters.every((word) => NUMBER.test(word));
  }, "a call is a function and numbers, 'F 1 0x2'"),
);

export function callOf(text: string): DifferentialCall {
  const [name = '', ...parameters] = text.trim().split(/\s+/);
  const number = (word: string) => (word.startsWith('-') ? -BigInt(word.slice(1)) : BigInt(word));
  return { function: name, arguments: parameters.map(number) };
}

/** Takes in an image and its symbols: those that are named, else `IMAGE.pdb`, `IMAGE.dll.map` or `IMAGE.map` beside it. */
export function imageFrom(path: string, symbols: string | undefined, files: FileIntake): ImageOfUnit {
  const stem = path.slice(0, path.length - extname(path).length);
  const beside = [`${stem}.pdb`, `${path}.map`, `${stem}.map`];
  const found = symbols ?? beside.find((candidate) => files.has(candidate));
  return { image: files.add(path), ...(found === undefined ? {} : { symbols: files.add(found) }) };
}

export const filesOf = ({ image, symbols }: ImageOfUnit): FileReference[] =>
  symbols === undefined ? [image] : [image, symbols];

/**
 * Reads an image under the name that the plan has for it, with its symbols.
 * @param folder one of its own
 * @throws ImageError when they are malformed, or do not belong together
 */
export function sourceOf({ image, symbols }: ImageOfUnit, context: UnitContext, folder: string): BuildSource {
  const place = (file: FileReference): string => {
    const path = join(folder, file.name);
    if (dirname(path) !== folder.replace(/\/$/, ''))
      throw new CampaignError('unit.value', `${file.name} is no file name`);
    mkdirSync(folder, { recursive: true });
    if (!existsSync(path)) copyFileSync(context.path(file), path);
    return path;
  };
  // Reading checks the contents.
  for (const file of filesOf({ image, ...(symbols === undefined ? {} : { symbols }) })) context.read(file);
  const path = place(image);
  const read = readImage(context.read(image), { file: image.name });
  const found = findSymbols(
    { image: read, path },
    symbols === undefined ? {} : { symbolsFile: place(symbols) },
  );
  return { image: read, symbols: found.table, pdb: found.pdb };
}
