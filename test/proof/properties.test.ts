import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Sequence, type SystemStep, sequenceImages } from '../../src/proof/index.js';

const which = fc.nat({ max: 3 });
const step: fc.Arbitrary<SystemStep> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('startProcess' as const), which }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('endProcess' as const), which }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('loadPatch' as const),
      sequenceNumber: fc.constantFrom(1 as const, 2 as const),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom('unloadPatch' as const, 'unmapPatch' as const) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('stopThread' as const, 'finishThread' as const), which }),
  },
);

async function holds(steps: readonly SystemStep[]): Promise<void> {
  using sequence = await Sequence.create(await images);
  for (const one of steps) {
    sequence.perform(one);
    expect(sequence.violations()).toEqual([]);
  }
}

const images = sequenceImages();
const numRuns = process.env.HOTPATCH_PROOF === 'all' ? 400 : 30;

describe('whatever happens to processes, patches and threads', () => {
  // A failure prints its seed and the shrunk steps; put them in as `seed` and `path` to see it again.
  it('every process runs the patch in force, or its original code', async () => {
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 12 }), holds), { numRuns, seed: 20 });
  });
});
