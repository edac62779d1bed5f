import { expect, test } from 'vitest';
import { SymbolFuzz } from '../../../campaign/fuzz/symbols.js';
import { tallyOf } from '../../campaign/tally.js';
import { times } from '../../share.js';
import { fuzzSeeds } from './fuzz-seeds.js';

test('hundreds of broken PDBs, objects and maps: nothing but ImageErrors, and results no larger than their files', () => {
  using fuzzer = new SymbolFuzz(fuzzSeeds());
  const { outcomes, rules, problems } = tallyOf(fuzzer, 20_241, times(2000, 500));
  expect(problems).toEqual([]);
  expect(Object.keys(rules).length).toBeGreaterThan(4);
  expect(outcomes.accepted).toBeLessThan(times(1800, 450));
});
