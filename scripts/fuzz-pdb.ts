/**
 * Nightly: reads broken PDBs, object files and maps and stops at the first that does anything but throw an ImageError.
 *
 *     npx tsx scripts/fuzz-pdb.ts [RUNS=200000] [SEED=1]
 */
import { fuzz } from '../test/image/symbols/fuzz.js';
import { fuzzSeeds } from '../test/image/symbols/fuzz-seeds.js';

const [runs = 200_000, seed = 1] = process.argv.slice(2).map(Number);
const report = fuzz(fuzzSeeds(), runs, seed, (run) => {
  if (run % 10_000 === 0) process.stderr.write(`${run}\n`);
});
const megabytes = process.resourceUsage().maxRSS / 1024;
console.log(
  JSON.stringify({ seed, ...report, maximumResidentMegabytes: Math.round(megabytes) }, undefined, 2),
);
