import { describe, expect, it } from 'vitest';
import { type FileIntake, performUnit, readPlan, type Unit, unitId, unitsOf } from '../../campaign/index.js';
import { Random } from '../../campaign/random.js';
import { canonicalJson } from '../../campaign/unit.js';

const noFiles: FileIntake = {
  has: () => false,
  add: (path) => {
    throw new Error(`no file: ${path}`);
  },
};
const cut = (...work: readonly object[]) => [...unitsOf(readPlan({ name: 'test', work }), noFiles)];

describe('the name of a unit', () => {
  it('is the start of the SHA-256 of its JSON with sorted keys', () => {
    const unit = { kind: 'fuzz', target: 'guest', architecture: 'x64', first: 1, count: 2 };
    const text = '{"architecture":"x64","count":2,"first":1,"kind":"fuzz","target":"guest"}';
    expect(canonicalJson(unit)).toBe(text);
    // printf '%s' '…' | sha256sum
    expect(unitId(unit)).toBe('7c391bdf18136f2e');
  });

  it('does not depend on the order of members, nor on those that are undefined', () => {
    const [a, b] = [
      { kind: 'x', b: [1, null], a: { d: 'é', c: true } },
      { a: { c: true, d: 'é' }, b: [1, null], kind: 'x', e: undefined },
    ];
    expect(unitId(b)).toBe(unitId(a));
    expect(unitId({ ...a, b: [null, 1] })).not.toBe(unitId(a));
  });
});

describe('a plan', () => {
  it('is cut into units that cover every case of every architecture once', () => {
    const units = cut({ kind: 'fuzz', target: 'guest', first: 5, count: 25, unit: 10 });
    expect(units.map(({ unit }) => [unit.architecture, unit.first, unit.count])).toEqual(
      ['x64', 'arm64', 'x86'].flatMap((name) => [
        [name, 5, 10],
        [name, 15, 10],
        [name, 25, 5],
      ]),
    );
    expect(units.map(({ position }) => position)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('has a unit once that it names twice', () => {
    const work = { kind: 'sequences', systems: ['arm64'], count: 2 };
    expect(cut(work, work)).toHaveLength(1);
  });

  it.each([
    { plan: 7, place: undefined, message: /Expected Object/ },
    { plan: { name: '../x', work: [{ kind: 'fuzz' }] }, place: 'name', message: /letters, digits/ },
    { plan: { name: 'a', work: [] }, place: 'work', message: /has work/ },
    { plan: { name: 'a', work: [{}] }, place: 'work.0.kind', message: /kind/ },
    {
      plan: { name: 'a', work: [{ kind: 'dance' }] },
      place: 'work[0].kind',
      message: /no kind of work 'dance'/,
    },
    { plan: { name: 'a', work: [{ kind: 'toString' }] }, place: 'work[0].kind', message: /no kind of work/ },
    {
      plan: { name: 'a', work: [{ kind: 'fuzz', target: 'guest' }] },
      place: 'work[0].count',
      message: /count/,
    },
    {
      plan: { name: 'a', work: [{ kind: 'fuzz', target: 'guest', count: 0 }] },
      place: 'work[0].count',
      message: />=1/,
    },
    {
      plan: { name: 'a', work: [{ kind: 'fuzz', target: 'guest', count: 1.5 }] },
      place: 'work[0].count',
      message: /integer/,
    },
    {
      plan: { name: 'a', work: [{ kind: 'fuzz', target: 'moon', count: 1 }] },
      place: 'work[0].target',
      message: /guest/,
    },
    {
      plan: { name: 'a', work: [{ kind: 'fuzz', target: 'guest', count: 1, speed: 1 }] },
      place: 'work[0].speed',
      message: /speed/,
    },
    {
      plan: { name: 'a', work: [{ kind: 'fuzz', target: 'pdb', count: 1 }] },
      place: undefined,
      message: /needs files/,
    },
    {
      plan: { name: 'a', work: [{ kind: 'explore', forms: ['z80'] }] },
      place: 'work[0].forms.0',
      message: /x64 current/,
    },
  ])('is refused where it is wrong: $plan', ({ plan, place, message }) => {
    const refused = expect.objectContaining({ name: 'CampaignError', rule: 'plan.value', place });
    expect(() => [...unitsOf(readPlan(plan), noFiles)]).toThrow(refused);
    expect(() => [...unitsOf(readPlan(plan), noFiles)]).toThrow(message);
  });
});

describe('a unit', () => {
  it.each<Unit>([
    { kind: 'fuzz', target: 'guest', architecture: 'x64', first: 1, count: 30 },
    { kind: 'fuzz', target: 'hotpatch-image', architecture: 'arm64', first: 1, count: 12 },
    { kind: 'fuzz', target: 'table', architecture: 'x86', first: 1, count: 12 },
    { kind: 'fuzz', target: 'image', architecture: 'x64', first: 1, count: 12 },
    { kind: 'sequences', system: 'x64', first: 1, count: 3 },
    { kind: 'explore', cell: 'x86, kernel, apply, 1, weak' },
  ])('comes to the same every time, and tries every case: $kind $target', async (unit) => {
    const outcome = await performUnit(unit);
    expect(outcome.findings).toEqual([]);
    expect(outcome.cases).toBe(unit.count ?? 1);
    expect(await performUnit(unit)).toEqual(outcome);
  });

  it('comes to what its halves come to together', async () => {
    const unit = { kind: 'fuzz', target: 'table', architecture: 'x64', first: 3, count: 9 } as const;
    const [whole, first, second] = await Promise.all([
      performUnit(unit),
      performUnit({ ...unit, count: 4 }),
      performUnit({ ...unit, first: 7, count: 5 }),
    ]);
    const sum = { ...first.counts };
    for (const [what, times] of Object.entries(second.counts)) sum[what] = (sum[what] ?? 0) + times;
    expect(whole.counts).toEqual(sum);
  });

  it('of another version is refused, not done', async () => {
    await expect(performUnit({ kind: 'fuzz', target: 'guest', first: 1 })).rejects.toMatchObject({
      rule: 'unit.value',
    });
    await expect(performUnit({ kind: 'dance' })).rejects.toMatchObject({ rule: 'plan.value' });
  });
});

it('random numbers of neighbouring seeds have nothing in common', () => {
  const numbers = [1, 2, 3, 2 ** 32 + 1].map((seed) => new Random(seed).next());
  expect(new Set(numbers).size).toBe(4);
  expect(new Random(7).next()).toBe(new Random(7).next());
});
