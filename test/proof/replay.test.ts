import { describe, expect, it } from 'vitest';
import {
  type Action,
  explore,
  firstInstruction,
  type OperationKind,
  PROTOCOLS,
  paddingOnAnotherPage,
  protocolNamed,
  Replay,
  replay,
  shapeSubject,
  windows,
} from '../../proof/index.js';

const OPERATIONS: readonly OperationKind[] = ['apply', 'repatch', 'revert'];
const FETCH = ['coherent', 'weak'] as const;

/** Numbers that look random, the same on every run (a linear congruential generator of Numerical Recipes). */
function numbers(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % below;
  };
}

describe('the explorer agrees with the machine', () => {
  const cells = OPERATIONS.flatMap((operation) =>
    FETCH.flatMap((fetch) =>
      (['x64', 'arm64', 'x86'] as const).map((architecture) => ({ operation, fetch, architecture })),
    ),
  );
  it.each(cells)(
    'step by step on random walks with the live engine: $architecture $operation $fetch',
    async (cell) => {
      const shape = firstInstruction(cell.architecture, 4);
      const source = await shapeSubject(shape, cell.operation);
      const random = numbers(7);
      const results = new Set<number>();
      let steps = 0;
      for (let walk = 0; walk < 4; walk++) {
        using run = await Replay.create(source, { protocol: windows, processors: 3, fetch: cell.fetch });
        for (let step = 0; step < 150; step++) {
          steps += 1;
          const actions = run.actions();
          const choose = (): Action =>
            actions[random(actions.length)] ?? { actor: 'processor', processor: 0 };
          const first = choose();
          const outcome = run.perform(first.actor === 'engine' && random(3) > 0 ? choose() : first);
          expect(outcome).not.toMatchObject({ kind: 'fault' });
          if (outcome.kind === 'returned') results.add(outcome.result);
        }
      }
      const { before, after } = source.expected ?? { before: 0, after: 0 };
      expect([before, after]).toEqual(expect.arrayContaining([...results]));
      expect(steps).toBeGreaterThan(100);
    },
  );

  it.each(PROTOCOLS.filter(({ kind }) => kind === 'control'))(
    'in every violation of $name',
    async (protocol) => {
      let violations = 0;
      for (const operation of ['apply', 'revert'] as const) {
        const source = await shapeSubject(firstInstruction('x64', 2, { modulo: 16, offset: 7 }), operation);
        for (const fetch of FETCH) {
          const result = await explore(source, { protocol, processors: 2, fetch });
          for (const { schedule, rule, text } of result?.violations ?? []) {
            violations += 1;
            const outcome = await replay(source, schedule, protocol);
            expect(outcome.kind).toBe('fault');
            if (rule !== 'fault') expect(outcome).toMatchObject({ text: `${rule}: ${text}` });
          }
        }
      }
      const showsOnlyWithinALine = [
        'entry-in-halves',
        'padding-after-entry',
        'data-slot-after-entry',
        'code-slot-after-entry',
        'serialised-only-at-the-end',
      ];
      expect(violations > 0).toBe(!showsOnlyWithinALine.includes(protocol.name));
    },
  );

  it('also where the fault needs pages that are fetched at different times', async () => {
    const protocol = protocolNamed('serialised-only-at-the-end') ?? windows;
    const source = await shapeSubject(paddingOnAnotherPage, 'apply');
    const result = await explore(source, { protocol, fetch: 'weak' });
    expect(result?.violations.length).toBeGreaterThan(0);
    for (const { schedule } of result?.violations ?? [])
      expect(await replay(source, schedule, protocol)).toMatchObject({ kind: 'fault' });
  });

  it.each(['processes', 'sessions', 'secureKernel'] as const)(
    'step by step where the base is in %s',
    async (places) => {
      for (const operation of OPERATIONS) {
        const source = await shapeSubject(firstInstruction('x64', 4), operation, {}, places);
        const random = numbers(11);
        const results = new Set<number>();
        for (const fetch of FETCH) {
          using run = await Replay.create(source, { protocol: windows, processors: 2, fetch });
          for (let step = 0; step < 200; step++) {
            const actions = run.actions();
            const action = actions[random(actions.length)] ?? { actor: 'processor', processor: 0 };
            const outcome = run.perform(action);
            expect(outcome.kind).not.toBe('fault');
            if (outcome.kind === 'returned') results.add(outcome.result);
          }
        }
        const { before, after } = source.expected ?? { before: 0, after: 0 };
        expect([before, after]).toEqual(expect.arrayContaining([...results]));
      }
    },
  );
});
