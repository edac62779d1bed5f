import * as v from 'valibot';
import type { BootOptions } from '../../loader/index.js';
import { Sequence, type SequenceImages, type SystemStep, sequenceImages } from '../../proof/index.js';
import { textOf } from '../fuzz/fuzzer.js';
import { Random } from '../random.js';
import { Tally } from '../unit.js';
import { defineKind } from './kind.js';
import { cutRange, halves, numbersOf, rangeOfUnit, rangeOfWork } from './range.js';

/** Systems on which patches, processes and threads come and go. */
const SYSTEMS = {
  x64: { architecture: 'x64', boot: {} },
  'x64 pointers': { architecture: 'x64', boot: { hpatLayout: 'pointers' } },
  arm64: { architecture: 'arm64', boot: {} },
  x86: { architecture: 'x86', boot: {} },
} as const satisfies Readonly<
  Record<
    string,
    { readonly architecture: SequenceImages['architecture']; readonly boot: Partial<BootOptions> }
  >
>;
type SystemName = keyof typeof SYSTEMS;
const NAMES = Object.keys(SYSTEMS) as SystemName[];

const SEQUENCES_OF_UNIT = 50;
const MOST_STEPS = 12;

const system = v.picklist(NAMES);
const work = v.strictObject({
  kind: v.literal('sequences'),
  systems: v.optional(v.array(system), NAMES),
  ...rangeOfWork,
});
const unit = v.strictObject({ kind: v.literal('sequences'), system, ...rangeOfUnit });

/** Random sequences of loads, unloads, processes and threads: after each step every process runs the patch in force. */
export const sequences = defineKind({
  work,
  unit,
  *cut({ kind, systems, unit: size = SEQUENCES_OF_UNIT, ...range }) {
    for (const name of systems)
      for (const part of cutRange(range, size)) yield { kind, system: name, ...part };
  },
  async perform(of) {
    const { architecture, boot } = SYSTEMS[of.system];
    const images = await sequenceImages(architecture);
    const tally = new Tally();
    for (const number of numbersOf(of)) {
      const steps = stepsOf(new Random(number));
      const broken = await run(images, boot, steps);
      tally.count(broken === undefined ? 'held' : 'broken');
      for (const { kind } of steps) tally.note(`step ${kind}`);
      if (broken === undefined) continue;
      const shortest = await shrink(steps, async (fewer) => (await run(images, boot, fewer)) !== undefined);
      const input = { name: 'steps.json', bytes: Buffer.from(JSON.stringify(shortest, undefined, 1)) };
      tally.find('sequences.broken', broken, { ...of, first: number, count: 1 }, [input]);
    }
    return tally.outcome;
  },
  split: halves,
  cell: (of) => ({ row: 'sequences', column: of.system }),
});

/** What is not as it must be after these steps. */
async function run(
  images: SequenceImages,
  boot: Partial<BootOptions>,
  steps: readonly SystemStep[],
): Promise<string | undefined> {
  try {
    using sequence = await Sequence.create(images, boot);
    for (const [index, step] of steps.entries()) {
      sequence.perform(step);
      const [violation] = sequence.violations();
      if (violation !== undefined) return `step ${index + 1} (${step.kind}): ${violation}`;
    }
    return undefined;
  } catch (error) {
    return textOf(error);
  }
}

/** Leaves out steps as long as it still fails. */
async function shrink<T>(
  steps: readonly T[],
  fails: (fewer: readonly T[]) => Promise<boolean>,
): Promise<readonly T[]> {
  let shortest = steps;
  for (let index = steps.length - 1; index >= 0; index--) {
    const fewer = shortest.filter((_, at) => at !== index);
    if (await fails(fewer)) shortest = fewer;
  }
  return shortest;
}

function stepsOf(random: Random): SystemStep[] {
  return Array.from({ length: random.between(1, MOST_STEPS) }, () => stepOf(random));
}

function stepOf(random: Random): SystemStep {
  const which = random.below(4);
  const sequenceNumber = random.pick([1, 2] as const);
  switch (random.below(8)) {
    case 0:
    case 1:
      return { kind: 'startProcess', which };
    case 2:
      return { kind: random.pick(['endProcess', 'reloadDll'] as const), which };
    case 3:
    case 4:
      return { kind: 'loadPatch', sequenceNumber };
    case 5:
      return { kind: random.pick(['unloadPatch', 'unmapPatch'] as const) };
    case 6:
      return { kind: random.pick(['stopThread', 'finishThread'] as const), which };
    default:
      return {
        kind: 'partly',
        sequenceNumber: random.once(3) ? undefined : sequenceNumber,
        steps: random.below(41),
        meanwhile: { kind: random.pick(['startProcess', 'endProcess', 'finishThread'] as const), which },
        isLeft: random.once(2),
      };
  }
}
