import type { Fuzzer } from '../campaign/fuzz/fuzzer.js';

/** Tries the cases that the command line says, `RUNS FIRST`, and prints what became of them; throws at the first problem. */
export function runFuzzer(fuzzer: Fuzzer): void {
  const [runs = 200_000, first = 1] = process.argv.slice(2).map(Number);
  const started = performance.now();
  const counts = new Map<string, number>();
  for (let number = first; number < first + runs; number++) {
    if (process.stderr.isTTY && number % 1000 === 0) process.stderr.write(`\r${number - first} of ${runs}`);
    const { outcome, rules = [], problem, input } = fuzzer.run(number);
    if (problem !== undefined)
      throw new Error(`case ${number}, ${input.name}: ${problem.message} (${problem.rule})`);
    for (const name of [outcome, ...rules]) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const seconds = (performance.now() - started) / 1000;
  console.log(`${runs} cases from ${first} on in ${seconds.toFixed(0)} s`);
  for (const [name, count] of [...counts].sort(([, a], [, b]) => b - a))
    console.log(`${String(count).padStart(8)}  ${name}`);
}
