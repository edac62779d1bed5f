import { expect, test } from 'vitest';
import { fuzz } from './fuzz.js';
import { fuzzSeeds } from './fuzz-seeds.js';

test('2,000 broken PDBs, objects and maps: nothing but ImageErrors, and results no larger than their files', () => {
  const report = fuzz(fuzzSeeds(), 2000, 20_241);
  expect(Object.keys(report.outcomes).length).toBeGreaterThan(5);
  expect(report.outcomes.accepted).toBeLessThan(1800);
});
