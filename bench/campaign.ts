/**
 * Units in a second by the number of worker processes: the same work, done by one, two … up to as many as there are
 * processors. Says something only on a machine that does nothing else.
 *
 *     npx tsx bench/campaign.ts [UNITS=24]
 */
import { availableParallelism } from 'node:os';
import { readPlan, type Unit, unitsOf, WorkerPool } from '../campaign/index.js';

const CASES_OF_UNIT = 100;

/** Does the units with so many processes, which have all been started; seconds by the clock. */
async function secondsOf(units: readonly Unit[], workers: number): Promise<number> {
  await using pool = new WorkerPool({ workers, folder: '.' });
  const [first] = units;
  if (first === undefined) throw new RangeError('there are units');
  await Promise.all(Array.from({ length: workers }, () => pool.perform({ ...first, count: 1 })));
  const started = performance.now();
  await Promise.all(units.map((unit) => pool.perform(unit)));
  return (performance.now() - started) / 1000;
}

export async function benchCampaign(count = 24): Promise<void> {
  const work = [
    {
      kind: 'fuzz',
      target: 'hotpatch-image',
      architectures: ['x64'],
      count: count * CASES_OF_UNIT,
      unit: CASES_OF_UNIT,
    },
  ];
  const files = { has: () => false, add: () => ({ name: '', sha256: '', size: 0 }) };
  const units = [...unitsOf(readPlan({ name: 'bench', work }), files)].map(({ unit }) => unit);
  let alone = 0;
  for (let workers = 1; workers <= availableParallelism(); workers *= 2) {
    const seconds = await secondsOf(units, workers);
    if (workers === 1) alone = seconds;
    console.log(
      `${workers} worker(s): ${(units.length / seconds).toFixed(2)} units/s of ${CASES_OF_UNIT} mutated hotpatch images, ` +
        `${((CASES_OF_UNIT * units.length) / seconds).toFixed(0)} images/s, ${(alone / seconds).toFixed(2)} times one worker`,
    );
  }
}

if (process.argv[1]?.endsWith('campaign.ts') === true) {
  const [, , count] = process.argv;
  await benchCampaign(count === undefined ? undefined : Number(count));
}
