/**
 * Random sequences of loads, disables, processes and threads that are stopped anywhere, on the engine of Server 2003, and of
 * hotfixes, reboots and power failures on one disk: after each step every function must lead to the newest hotpatch in force that covers it, or be its own. Prints what
 * was done; `--count N` sequences on each processor (default 1000), `--seed N` the first one's (default 1),
 * `--processor x86` or `x64` only that one, `--minutes N` ends after so many, with what was done until then. Exits with 1 when an invariant is broken.
 */
import { parseArgs } from 'node:util';
import { Sequence, SequenceMachine } from '../test/engine/server-2003/sequences/sequence.js';
import { Builds, ServerSequence } from '../test/engine/server-2003/sequences/server-sequence.js';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    processor: { type: 'string' },
    minutes: { type: 'string' },
  },
});
/** A machine remembers every hotpatch that it was given. */
const SEQUENCES_OF_A_MACHINE = 100;
const MOST_SHOWN = 5;
/** One in so many is a sequence of hotfixes, reboots and power failures on one disk. */
const EVERY = 100;
let isBroken = false;
const end =
  values.minutes === undefined ? Number.POSITIVE_INFINITY : Date.now() + 60_000 * Number(values.minutes);

for (const processor of ['x86', 'x64'] as const) {
  if (values.processor !== undefined && values.processor !== processor) continue;
  const [first, count] = [Number(values.seed), Number(values.count)];
  const done: Record<string, number> = {};
  const broken: string[] = [];
  const builds = new Builds(processor);
  let seed = first;
  while (seed < first + count && Date.now() < end) {
    // By the seed alone, so that one can be run again.
    const fill = Math.floor(seed / SEQUENCES_OF_A_MACHINE) % 2 === 0 ? 'int3' : 'nop';
    const system = Math.floor(seed / (2 * SEQUENCES_OF_A_MACHINE)) % 2 === 0 ? processor : 'x64';
    using machine = await SequenceMachine.boot(processor, fill, system);
    const next = SEQUENCES_OF_A_MACHINE * (1 + Math.floor(seed / SEQUENCES_OF_A_MACHINE));
    for (; seed < Math.min(first + count, next); seed++) {
      const sequence = seed % EVERY === 0 ? new ServerSequence(builds, seed) : new Sequence(machine, seed);
      await sequence.run();
      for (const [kind, times] of Object.entries(sequence.done)) done[kind] = (done[kind] ?? 0) + times;
      for (const text of sequence.broken)
        broken.push(`seed ${seed}: ${text}\n    ${sequence.log.join('\n    ')}`);
    }
    if (process.stderr.isTTY) process.stderr.write(`\r${processor}: ${seed - first} of ${count}`);
  }
  const kinds = Object.entries(done).sort(([a], [b]) => a.localeCompare(b));
  console.log(`${processor}: ${seed - first} sequences from seed ${first}, ${broken.length} broken`);
  console.log(`  ${kinds.map(([kind, times]) => `${kind} ${times}`).join(', ')}`);
  for (const text of broken.slice(0, MOST_SHOWN)) console.log(`  ${text}`);
  isBroken ||= broken.length > 0;
}
process.exitCode = isBroken ? 1 : 0;
