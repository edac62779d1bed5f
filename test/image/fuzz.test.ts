import { expect, test } from 'vitest';
import { fuzzImages } from './fuzz.js';
import { fuzzSeeds } from './fuzz-seeds.js';

test('5,000 broken images: nothing but ImageErrors, and results no larger than their files', {
  timeout: 180_000,
}, () => {
  const report = fuzzImages(fuzzSeeds(), 5000, 20_261);
  expect(Object.keys(report.outcomes).length).toBeGreaterThan(40);
  expect(report.outcomes.accepted).toBeGreaterThan(100);
});
