import { readFileSync } from 'node:fs';
import type { FuzzSeed } from './fuzz.js';
import { fixtureImages, inRepository, nodePtyImages, variousImages } from './real-images.js';
import { richImage } from './rich-image.js';

/** Images with something in every directory, hotpatch images, and a signed image of Microsoft. */
export function fuzzSeeds(): FuzzSeed[] {
  const built = (['x64', 'arm64', 'x86'] as const).map((architecture) => ({
    name: `built for ${architecture}`,
    bytes: richImage(architecture).bytes,
  }));
  const files = [
    ...fixtureImages.filter((file) => file.includes('patch')),
    ...variousImages,
    ...nodePtyImages.filter((file) => file.endsWith('conpty.dll')),
  ];
  return [
    ...built,
    ...files.map((file) => ({ name: file, bytes: new Uint8Array(readFileSync(inRepository(file))) })),
  ];
}
