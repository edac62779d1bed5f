import * as v from 'valibot';
import { CampaignError } from '../error.js';
import { textOf } from '../fuzz/fuzzer.js';
import {
  type Pair,
  type PairOutcome,
  PairTester,
  pairOf,
  shrinkPair,
  textOfProgram,
} from '../programs/index.js';
import { type FindingInput, Tally } from '../unit.js';
import { defineKind } from './kind.js';
import {
  architecture,
  architecturesOfWork,
  cutRange,
  halves,
  numbersOf,
  rangeOfUnit,
  rangeOfWork,
} from './range.js';

const PAIRS_OF_UNIT = 10;

const work = v.strictObject({
  kind: v.literal('differential'),
  architectures: architecturesOfWork,
  ...rangeOfWork,
});
const unit = v.strictObject({ kind: v.literal('differential'), architecture, ...rangeOfUnit });

/**
 * Random C programs and fixes of them: the hotpatch that the builder makes must do what the fixed build does, wherever it
 * lands, and nothing when it is taken back. To be refused is right, to be silently wrong a finding. Needs clang and lld.
 */
export const differential = defineKind({
  work,
  unit,
  *cut({ kind, architectures, unit: size = PAIRS_OF_UNIT, ...range }) {
    for (const name of architectures)
      for (const part of cutRange(range, size)) yield { kind, architecture: name, ...part };
  },
  async perform(of) {
    using tester = await PairTester.create(of.architecture);
    const tally = new Tally();
    for (const number of numbersOf(of)) {
      const pair = pairOf(number);
      const { verdict, rules, places, mixtures, problem } = await attempt(tester, pair);
      tally.count(verdict);
      tally.note('places', places);
      if (mixtures > 0) tally.note('mixtures', mixtures);
      for (const rule of rules) tally.note(`rule ${rule}`);
      if (problem === undefined) continue;
      const smallest = await shrinkPair(pair, problem.rule, (smaller) => attempt(tester, smaller));
      const single = { ...of, first: number, count: 1 };
      tally.find(problem.rule, problem.message, single, inputsOf(smallest));
    }
    return tally.outcome;
  },
  split: halves,
  cell: ({ architecture: column }) => ({ row: 'differential', column }),
});

async function attempt(tester: PairTester, pair: Pair): Promise<PairOutcome> {
  try {
    return await tester.try(pair);
  } catch (error) {
    if (error instanceof CampaignError) throw error;
    const problem = { rule: 'pair.threw', message: textOf(error) };
    return { verdict: 'threw', rules: [], places: 0, mixtures: 0, problem };
  }
}

function inputsOf({ base, fixed, calls, flags, linkerFlags }: Pair): FindingInput[] {
  const file = (name: string, text: string): FindingInput => ({ name, bytes: Buffer.from(text) });
  const lines = calls.map((call) => [call.function, ...call.arguments].join(' '));
  return [
    file('base.c', textOfProgram(base)),
    file('fixed.c', textOfProgram(fixed)),
    file('calls.txt', `# clang ${flags.join(' ')}; lld-link ${linkerFlags.join(' ')}\n${lines.join('\n')}\n`),
  ];
}
