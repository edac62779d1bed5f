import { instructionFacts } from '../../cpu/index.js';
import {
  type EntryFacts,
  type EntryPlace,
  endOfCodeBefore,
  entryFacts,
  isExecutable,
  type ReadEntryCode,
  startOfCodeBefore,
} from '../../image/index.js';
import type { LoadedImage } from '../../loader/index.js';

/** What is so at an entry of a loaded image, with the code that `read` gives: memory, or memory without hotpatches. */
export function entryFactsOf(image: LoadedImage, rva: number, read: ReadEntryCode): EntryFacts {
  return entryFacts(entryPlaceOf(image, rva, read));
}

export function entryPlaceOf(image: LoadedImage, rva: number, read: ReadEntryCode): EntryPlace {
  const { name: architecture } = image.domain.architecture;
  const section = image.image.sections.find(
    (one) => isExecutable(one) && rva >= one.virtualAddress && rva < one.virtualAddress + one.sizeInMemory,
  );
  const start = section?.virtualAddress ?? rva;
  return {
    architecture,
    rva,
    code: { start, end: start + (section?.sizeInMemory ?? 0) },
    read,
    endOfCodeBefore: endOfCodeBefore(image.image, rva),
    startOfCodeBefore: startOfCodeBefore(image.image, rva),
    decode: (bytes) => instructionFacts(architecture, bytes, image.address(rva)),
  };
}
