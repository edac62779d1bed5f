/**
 * Breaks images in many ways and reads them; fails at the first that ends in anything but an ImageError.
 *
 *     npx tsx scripts/fuzz-image.ts [RUNS=200000] [SEED=1]
 */
import { fuzzImages } from '../test/image/fuzz.js';
import { fuzzSeeds } from '../test/image/fuzz-seeds.js';

const runs = Number(process.argv[2] ?? 200_000);
const seed = Number(process.argv[3] ?? 1);
const started = performance.now();
const report = fuzzImages(fuzzSeeds(), runs, seed, (run) => {
  if (process.stderr.isTTY && run % 1000 === 0) process.stderr.write(`\r${run} of ${runs}`);
});
const seconds = (performance.now() - started) / 1000;
console.log(`\n${runs} runs in ${seconds.toFixed(0)} s, seed ${seed}`);
console.log(`slowest: ${report.slowest.milliseconds.toFixed(0)} ms (${report.slowest.run})`);
console.log(`largest description: ${report.largestResult.toFixed(0)} characters per byte of file`);
for (const [rule, count] of Object.entries(report.outcomes).sort(([, a], [, b]) => b - a)) {
  console.log(`${String(count).padStart(8)}  ${rule}`);
}
