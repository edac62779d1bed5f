import type { CodeView } from '../debug.js';
import type { PeImage } from '../image.js';
import type { Pdb } from './pdb.js';

/** What the image's debug directory says about its PDB, or undefined if it names none. */
export function pdbReference(image: PeImage): CodeView | undefined {
  return image.debug.find(({ codeView }) => codeView?.format === 'RSDS')?.codeView;
}

/** Whether the PDB is the one that the linker wrote together with the image: same GUID, same age. */
export function pdbMatches(image: PeImage, pdb: Pdb): boolean {
  const reference = pdbReference(image);
  return reference !== undefined && reference.guid === pdb.guid && reference.age === pdb.age;
}
