import { describe, expect, it } from 'vitest';
import {
  DAMAGES,
  explore,
  faultCampaign,
  firstInstruction,
  type OperationKind,
  paddingOnAnotherPage,
  Sequence,
  type Shape,
  sequenceImages,
  shapeSubject,
  tryDamage,
  windows,
} from '../../proof/index.js';

async function violations(shape: Shape, operation: OperationKind) {
  const source = await shapeSubject(shape, operation);
  const result = await explore(source, { protocol: windows, fetch: 'weak' });
  return result?.violations.map(({ rule, schedule }) => ({
    rule,
    steps: schedule.actions.map(({ actor, text }) => `${actor} ${text}`),
  }));
}

/** What the proofs found, and the engine was mended for. `it.fails` would mark what is not mended yet. */
describe('findings', () => {
  it('a patch whose last callout cannot be called, or whose steps are left there, is taken back', async () => {
    const kind = { architecture: 'x64', place: 'driver', operation: 'apply' } as const;
    for (const fault of ['addressSpace', 'step', 'abandoned'] as const) {
      let count = 0;
      for await (const { state, results } of faultCampaign(kind, [fault])) {
        expect(state).toBe('before');
        expect(results).toEqual([72]);
        count += 1;
      }
      expect(count).toBeGreaterThan(4);
    }
  });

  it('a thread that cannot be made gives its stack back', async () => {
    const kind = { architecture: 'x64', place: 'dll', operation: 'apply' } as const;
    let count = 0;
    for await (const { state } of faultCampaign(kind, ['addressSpace'])) {
      expect(state).toBe('before');
      count += 1;
    }
    expect(count).toBeGreaterThan(0);
  });

  it('a process that cannot be made leaves no memory behind', async () => {
    const kind = { architecture: 'x64', place: 'dll', operation: 'processCreation' } as const;
    let count = 0;
    for await (const { state } of faultCampaign(kind, ['page'])) {
      expect(state).toBe('before');
      count += 1;
    }
    expect(count).toBeGreaterThan(0);
  });

  it('the padding is visible before the entry leads to it, whichever pages they are on', async () => {
    expect(await violations(paddingOnAnotherPage, 'apply')).toEqual([]);
  });

  it.each(['apply', 'revert'] as const)(
    'ARM64 processors are synchronised before the rendezvous lets them go: %s',
    async (operation) => {
      expect(await violations(firstInstruction('arm64', 4), operation)).toEqual([]);
    },
  );

  it.each([
    ['an image that is half mapped when memory runs out is unmapped', 1],
    ['an HPAT that is half committed when memory runs out is decommitted', 5],
  ] as const)('%s', async (_name, page) => {
    let count = 0;
    for await (const { kind, index, state } of faultCampaign({
      architecture: 'x64',
      place: 'driver',
      operation: 'apply',
    })) {
      if (kind !== 'page' || index !== page) continue;
      expect(state).toBe('before');
      count += 1;
    }
    expect(count).toBe(1);
  });

  it('a deferred patch whose application fails waits for its base again', async () => {
    let count = 0;
    for await (const { kind, again } of faultCampaign({
      architecture: 'x64',
      place: 'driver',
      operation: 'deferred',
    })) {
      if (kind !== 'codeStore') continue;
      expect(again).toEqual([205]);
      count += 1;
    }
    expect(count).toBeGreaterThan(0);
  });

  it('PEB.ImageBaseAddress stays that of the EXE when a patch image is mapped beside it', async () => {
    const damage = DAMAGES.find(
      ({ architecture, rule }) => architecture === 'x86' && rule === 'function.firstInstruction',
    );
    if (damage === undefined) throw new Error('the corpus has no such damage');
    expect(await tryDamage(damage)).toMatchObject({ rule: damage.rule, unchanged: true });
  });

  it('a process that started under the second patch runs the first one when the second is taken back', async () => {
    using sequence = await Sequence.create(await sequenceImages('x64'));
    sequence.perform({ kind: 'startProcess', which: 0 });
    sequence.perform({ kind: 'loadPatch', sequenceNumber: 1 });
    sequence.perform({ kind: 'loadPatch', sequenceNumber: 2 });
    sequence.perform({ kind: 'startProcess', which: 0 });
    sequence.perform({ kind: 'unloadPatch' });
    expect(sequence.violations()).toEqual([]);
  });
});
