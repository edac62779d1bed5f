import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Sequence, type SystemStep, sequenceImages } from '../../proof/index.js';

const which = fc.nat({ max: 3 });
const step: fc.Arbitrary<SystemStep> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('startProcess' as const), which }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('endProcess' as const, 'reloadDll' as const), which }),
  },
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
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('partly' as const),
      sequenceNumber: fc.constantFrom(1 as const, 2 as const, undefined),
      steps: fc.nat({ max: 40 }),
      meanwhile: fc.record({
        kind: fc.constantFrom('startProcess' as const, 'endProcess' as const, 'finishThread' as const),
        which,
      }),
      isLeft: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('stopThread' as const, 'finishThread' as const), which }),
  },
);

const SYSTEMS = [
  { name: 'x64', architecture: 'x64' },
  { name: 'x64 with the layout pointers', architecture: 'x64', boot: { hpatLayout: 'pointers' } },
  { name: 'x86 under WOW64', architecture: 'x86' },
  { name: 'ARM64', architecture: 'arm64' },
] as const;
type System = (typeof SYSTEMS)[number];

async function holds(system: System, steps: readonly SystemStep[]): Promise<void> {
  const boot = 'boot' in system ? system.boot : {};
  using sequence = await Sequence.create(await images[system.architecture], boot);
  for (const one of steps) {
    sequence.perform(one);
    expect(sequence.violations()).toEqual([]);
  }
}

const images = { x64: sequenceImages('x64'), x86: sequenceImages('x86'), arm64: sequenceImages('arm64') };
const sequences = fc.array(step, { maxLength: 12 });
const { HOTPATCH_PROOF, HOTPATCH_SEED = '20', HOTPATCH_PATH, HOTPATCH_SEQUENCE } = process.env;
const parameters = {
  numRuns: HOTPATCH_PROOF === 'all' ? 2000 : 20,
  seed: Number(HOTPATCH_SEED),
  ...(HOTPATCH_PATH === undefined ? {} : { path: HOTPATCH_PATH }),
};

/**
 * A failure prints seed, path and shrunk steps. HOTPATCH_SEED and HOTPATCH_PATH, or the steps as HOTPATCH_SEQUENCE, run
 * it again.
 */
describe.each(SYSTEMS)('whatever happens to processes, patches and threads, $name', (system) => {
  it('every process runs the patch in force, or its original code', async () => {
    const property = fc.asyncProperty(sequences, (steps) => holds(system, steps));
    await fc.assert(property, parameters);
  });

  it.runIf(HOTPATCH_SEQUENCE !== undefined)('also in the sequence that is to be run again', async () => {
    await holds(system, JSON.parse(HOTPATCH_SEQUENCE ?? '[]') as SystemStep[]);
  });
});

describe('a random sequence', () => {
  it('a failure is printed with its seed and shrunk, and comes again by it', async () => {
    const fails = (steps: readonly SystemStep[]) => !steps.some(({ kind }) => kind === 'unmapPatch');
    const first = await fc.check(fc.property(sequences, fails), { seed: 7, numRuns: 200 });
    expect(first).toMatchObject({ failed: true, seed: 7, counterexample: [[{ kind: 'unmapPatch' }]] });
    const report = String(await fc.asyncDefaultReportMessage(first));
    expect(report).toContain(`seed: 7, path: "${first.counterexamplePath}"`);
    expect(report).toContain('Counterexample: [[{"kind":"unmapPatch"}]]');
    const path = first.counterexamplePath ?? '';
    const again = await fc.check(fc.property(sequences, fails), { seed: 7, path, endOnFailure: true });
    expect(again.counterexample).toEqual(first.counterexample);
  });
});
