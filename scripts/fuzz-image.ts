/**
 * Breaks images of every origin that the tests know and reads them; fails at the first that ends in anything but an
 * ImageError. `hotpatch campaign run` does the same with images that are built in, or that a plan names.
 *
 *     npx tsx scripts/fuzz-image.ts [RUNS=200000] [FIRST=1]
 */
import { ImageFuzz } from '../campaign/fuzz/image.js';
import { fuzzSeeds } from '../test/image/fuzz-seeds.js';
import { runFuzzer } from './run-fuzzer.js';

runFuzzer(new ImageFuzz(fuzzSeeds()));
