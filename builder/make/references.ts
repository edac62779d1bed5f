import { readFileSync } from 'node:fs';
import { readObject } from '../../image/index.js';
import { MakeError, shortened } from './error.js';
import type { NamedObject } from './link.js';
import { run } from './process.js';

const REFERENCE = /^_?__ref_|^\.weak\._?__ref_/;
const IMAGE_SYM_UNDEFINED = 0;
const IMAGE_SYM_CLASS_WEAK_EXTERNAL = 105;

/** Names of the `__ref_` pointers that an object brings. */
export function referenceNames(file: string): string[] {
  const { symbols } = readObject(readFileSync(file), { file });
  return symbols
    .filter(
      ({ name, sectionNumber, storageClass }) =>
        REFERENCE.test(name) &&
        (sectionNumber !== IMAGE_SYM_UNDEFINED || storageClass === IMAGE_SYM_CLASS_WEAK_EXTERNAL),
    )
    .map(({ name }) => name);
}

/**
 * Gives the `__ref_` pointers that several objects bring a name of their own in each but the first: linked as they are
 * they are duplicates, and a forced link would lead one object to another's static variable. Changes the files.
 * @returns the names that were changed
 */
export async function renameReferences(objcopy: string, objects: readonly NamedObject[]): Promise<string[]> {
  const seen = new Map<string, number>();
  const renamed: string[] = [];
  for (const { file } of objects) {
    const flags: string[] = [];
    for (const name of referenceNames(file)) {
      const before = seen.get(name) ?? 0;
      seen.set(name, before + 1);
      if (before === 0) continue;
      flags.push('--redefine-sym', `${name}=${name}.${before + 1}`);
      if (!name.startsWith('.')) renamed.push(name);
    }
    if (flags.length === 0) continue;
    const { status, stderr } = await run(objcopy, [...flags, file]);
    if (status !== 0)
      throw new MakeError({
        rule: 'link',
        message: `__ref_ symbols of ${file} cannot be renamed`,
        output: shortened(stderr),
      });
  }
  return [...new Set(renamed)];
}
