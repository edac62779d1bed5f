import { readFileSync } from 'node:fs';
import type { ImageSeed } from '../../campaign/fuzz/image.js';
import { richImage } from '../../campaign/fuzz/rich-image.js';
import { fixtureImages, inRepository, nodePtyImages, variousImages } from './real-images.js';

/**
 * Images with something in every directory, hotpatch images, and signed images of Microsoft; the small ones several
 * times, because a run of a large one takes as long as thirty of theirs.
 */
export function fuzzSeeds(): ImageSeed[] {
  const built = (['x64', 'arm64', 'x86'] as const).map((architecture) => ({
    name: `built for ${architecture}`,
    bytes: richImage(architecture).bytes,
  }));
  const read = (file: string) => ({ name: file, bytes: new Uint8Array(readFileSync(inRepository(file))) });
  const small = [
    ...built,
    ...fixtureImages.filter((file) => file.includes('patch')).map(read),
    ...variousImages.map(read),
  ];
  const large = nodePtyImages.filter((file) => file.endsWith('conpty.dll')).map(read);
  return [...small, ...small, ...small, ...small, ...large];
}
