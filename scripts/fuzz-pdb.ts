/**
 * Reads broken PDBs, object files, libraries and maps and stops at the first that does anything but throw an ImageError.
 *
 *     npx tsx scripts/fuzz-pdb.ts [RUNS=200000] [FIRST=1]
 */
import { SymbolFuzz } from '../campaign/fuzz/symbols.js';
import { fuzzSeeds } from '../test/image/symbols/fuzz-seeds.js';
import { runFuzzer } from './run-fuzzer.js';

runFuzzer(new SymbolFuzz(fuzzSeeds()));
