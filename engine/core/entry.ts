import { instructionFacts } from '../../cpu/index.js';
import {
  type EntryFacts,
  type EntryPlace,
  entryFacts,
  entryPlace,
  type ReadEntryCode,
} from '../../image/index.js';
import type { LoadedImage } from '../../loader/index.js';

/** What is so at an entry of a loaded image, with the code that `read` gives: memory, or memory without hotpatches. */
export function entryFactsOf(image: LoadedImage, rva: number, read: ReadEntryCode): EntryFacts {
  return entryFacts(entryPlaceOf(image, rva, read));
}

export function entryPlaceOf(image: LoadedImage, rva: number, read: ReadEntryCode): EntryPlace {
  const { name } = image.domain.architecture;
  return entryPlace(image.image, name, rva, read, (bytes) =>
    instructionFacts(name, bytes, image.address(rva)),
  );
}
