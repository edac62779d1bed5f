import { expect, test } from 'vitest';
import { SymbolFuzz } from '../../../campaign/fuzz/symbols.js';
import { tallyOf } from '../../campaign/tally.js';
import { fuzzSeeds } from './fuzz-seeds.js';

test('2,000 broken PDBs, objects and maps: nothing but ImageErrors, and results no larger than their files', () => {
  using fuzzer = new SymbolFuzz(fuzzSeeds());
  const { outcomes, rules, problems } = tallyOf(fuzzer, 20_241, 2000);
  expect(problems).toEqual([]);
  expect(Object.keys(rules).length).toBeGreaterThan(4);
  expect(outcomes.accepted).toBeLessThan(1800);
});
