import { describe, expect, it } from 'vitest';
import { explore, firstInstruction, shapeSubject, windows } from '../../proof/index.js';

const apply = () => shapeSubject(firstInstruction('x64', 5), 'apply');
const counts = (exploration: Awaited<ReturnType<typeof explore>>) => ({
  states: exploration?.states,
  transitions: exploration?.transitions,
});

describe('the explorer', () => {
  it('finds the same states when every transition is executed as when each case is executed once', async () => {
    const source = await apply();
    for (const fetch of ['coherent', 'weak'] as const) {
      const options = { protocol: windows, processors: 2, fetch, reduction: false };
      const once = await explore(source, options);
      const each = await explore(source, { ...options, executeEach: true });
      expect(counts(each)).toEqual(counts(once));
      expect(each?.executed).toBeGreaterThan(once?.executed ?? Number.POSITIVE_INFINITY);
    }
  });

  it('finds the same states each time', async () => {
    const runs = [await explore(await apply(), { protocol: windows, processors: 3, fetch: 'weak' })];
    runs.push(await explore(await apply(), { protocol: windows, processors: 3, fetch: 'weak' }));
    expect(counts(runs[1])).toEqual(counts(runs[0]));
  });

  it('says when it did not see everything', async () => {
    const result = await explore(await apply(), {
      protocol: windows,
      processors: 3,
      fetch: 'weak',
      mostStates: 20,
    });
    expect(result).toMatchObject({ complete: false, bound: '20 states' });
    const each = await explore(await apply(), { protocol: windows, mostStates: 20, reduction: false });
    expect(each).toMatchObject({ complete: false, bound: '20 states' });
  });

  it('visits, for one processor that stands still, every step of the engine', async () => {
    const result = await explore(await apply(), { protocol: windows, reduction: false });
    // Ten steps of the engine; a call of nine instructions in the old code, of eleven in the new.
    expect(counts(result)).toEqual({ states: 114, transitions: 202 });
  });

  it('takes one to four processors, without reduction three', async () => {
    const five = { protocol: windows, processors: 5 };
    await expect(explore(await apply(), five)).rejects.toThrow(/1 to 4/);
    const four = { protocol: windows, processors: 4 };
    expect(await explore(await apply(), four)).toMatchObject({ complete: true, violations: [] });
    await expect(explore(await apply(), { ...four, reduction: false })).rejects.toThrow(/1 to 3/);
  });

  it('notices when a call returns something that nobody expects', async () => {
    const source = await apply();
    const wrong = { ...source, expected: { before: 1, after: 2 } };
    await expect(explore(wrong, { protocol: windows })).rejects.toThrow(
      /alone returns 72 before the operation/,
    );
  });
});
