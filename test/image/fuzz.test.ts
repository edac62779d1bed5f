import { expect, test } from 'vitest';
import { ImageFuzz } from '../../campaign/fuzz/image.js';
import { tallyOf } from '../campaign/tally.js';
import { times } from '../share.js';
import { fuzzSeeds } from './fuzz-seeds.js';

test('thousands of broken images: nothing but ImageErrors, and results no larger than their files', {
  timeout: 180_000,
}, () => {
  using fuzzer = new ImageFuzz(fuzzSeeds());
  const { outcomes, rules, problems } = tallyOf(fuzzer, 20_261, times(5000, 1500));
  expect(problems).toEqual([]);
  expect(Object.keys(rules).length).toBeGreaterThan(40);
  expect(outcomes.accepted).toBeGreaterThan(times(100, 30));
});
