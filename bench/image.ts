/**
 * Reading images: headers, relocations, imports and exports of a file that is already in memory.
 * Goal: 10 MB in well under 50 ms.
 *
 *     npx tsx bench/image.ts
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Bench } from 'tinybench';
import { encodeHotPatchTable, ImageBuilder, readHotPatchTable, readImage } from '../image/index.js';
import { fetchedImages, inRepository, nodePtyImages } from '../test/image/real-images.js';

/** 10 MB of data with 200,000 relocations and 2,000 imports. */
export function largeImage(): Uint8Array {
  const POINTERS = 200_000;
  const relocations = Array.from({ length: POINTERS }, (_, i) => 48 * i);
  const builder = new ImageBuilder('x64', { name: 'large.dll', dll: true }).data(
    'large',
    new Uint8Array(48 * POINTERS),
    { relocations },
  );
  for (let module = 0; module < 20; module++) {
    builder.import(
      `module${module}.dll`,
      Array.from({ length: 100 }, (_, i) => `Function${module}_${i}`),
    );
  }
  return builder.code('entry', [0xc3]).export('entry').loadConfig().build().bytes;
}

const read = (bytes: Uint8Array) => {
  const image = readImage(bytes);
  return image.relocations.length + image.imports.length + (image.exports?.functions.length ?? 0);
};

export function imageBench(): Bench {
  const bench = new Bench({ name: 'images', time: 500 });
  const large = largeImage();
  const files = [
    ...nodePtyImages.filter((file) => /x64.*(OpenConsole|winpty\.dll)/.test(file)),
    ...fetchedImages,
  ];
  const table = encodeHotPatchTable({
    sequenceNumber: 1,
    bases: [
      {
        originalTimeDateStamp: 0,
        originalCheckSum: 0,
        chunks: [
          {
            direction: 'forward',
            type: 'FUNCTION',
            records: Array.from({ length: 4000 }, (_, i) => ({ rva: 16 * i, target: i })),
          },
        ],
      },
    ],
  });
  bench.add(`built, ${megabytes(large)}, 200,000 relocations, 2,000 imports`, () => void read(large));
  for (const file of files) {
    const bytes = new Uint8Array(readFileSync(inRepository(file)));
    bench.add(`${file.split('/').at(-1)}, ${megabytes(bytes)}`, () => void read(bytes));
  }
  bench.add(`checksum of ${megabytes(large)}`, () => void readImage(large).computedCheckSum);
  bench.add(`lay out ${megabytes(large)}`, () => void readImage(large).layOut());
  bench.add('hotpatch table of 4,000 records', () => void readHotPatchTable(table));
  return bench;
}

function megabytes(bytes: Uint8Array): string {
  return `${(bytes.length / 1e6).toFixed(1)} MB`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const bytes = largeImage();
  const started = performance.now();
  read(bytes);
  console.log(`first time: ${megabytes(bytes)} in ${(performance.now() - started).toFixed(0)} ms`);
  const bench = imageBench();
  await bench.run();
  console.table(bench.table());
}
