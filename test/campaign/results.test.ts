import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type Outcome, Results, readPlan, reportOn, unitsOf } from '../../campaign/index.js';
import { hasSqlite } from './sqlite.js';

const work = mkdtempSync(join(tmpdir(), 'hotpatch-results-'));
afterAll(() => rmSync(work, { recursive: true }));
let files = 0;
const path = () => join(work, `${files++}.sqlite`);

const plan = readPlan({
  name: 'test',
  work: [{ kind: 'fuzz', target: 'guest', architectures: ['x64'], count: 40, unit: 10 }],
});
const units = [...unitsOf(plan, { has: () => false, add: () => ({ name: '', sha256: '', size: 0 }) })];
const performed = (counts: Outcome['counts'], findings: Outcome['findings'] = []) => ({
  outcome: { cases: 10, counts, findings },
  seconds: 1.5,
  worker: 'here',
});
const [u0, u1, u2] = units;
if (u0 === undefined || u1 === undefined || u2 === undefined) throw new Error('there are units');

const finding = {
  rule: 'guest.stepped',
  message: 'differs',
  unit: { ...u0.unit, first: 4, count: 1 },
  inputs: [{ name: 'snippet.bin', bytes: Uint8Array.of(1, 2, 3) }],
};

describe.skipIf(!hasSqlite)('results', () => {
  it('keep each unit once, and know what is left', () => {
    using results = Results.create(path(), plan);
    results.plan(plan, units);
    results.plan(plan, units);
    expect(results.count).toEqual({ units: 4, done: 0, findings: 0 });
    expect(results.add(u1.id, u1.unit, performed({ returned: 10 }))).toBe(true);
    expect(results.add(u1.id, u1.unit, performed({ returned: 10 }))).toBe(false);
    expect(results.count).toEqual({ units: 4, done: 1, findings: 0 });
    expect(results.remaining().map(({ unit }) => unit.first)).toEqual([1, 21, 31]);
    expect(results.remaining({ index: 0, of: 2 }).map(({ unit }) => unit.first)).toEqual([1, 21]);
    expect(results.remaining({ index: 1, of: 2 }).map(({ unit }) => unit.first)).toEqual([31]);
  });

  it('go on where they were when they are opened again', () => {
    const file = path();
    {
      using results = Results.create(file, plan);
      results.plan(plan, units);
      results.add(u0.id, u0.unit, performed({ returned: 10 }, [finding]));
    }
    using results = Results.open(file);
    expect(results.remaining()).toHaveLength(3);
    const [kept] = results.findings();
    expect(kept).toMatchObject({ rule: 'guest.stepped', unit: finding.unit });
    // printf '\1\2\3' | sha256sum
    const hash = '039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81';
    expect(kept?.inputs).toEqual([{ name: 'snippet.bin', sha256: hash, size: 3 }]);
    expect([...results.input(hash)]).toEqual([1, 2, 3]);
    expect(results.finding(kept?.id.slice(0, 6) ?? '').id).toBe(kept?.id);
    expect(() => results.finding('zz')).toThrow(expect.objectContaining({ rule: 'results.finding' }));
  });

  it('find a unit that comes to something else the second time', () => {
    using results = Results.create(path(), plan);
    results.plan(plan, units);
    results.add(u0.id, u0.unit, performed({ returned: 10 }));
    results.add(u0.id, u0.unit, performed({ returned: 9, halted: 1 }));
    expect(results.findings()).toMatchObject([
      {
        rule: 'unit.notPure',
        message: 'it came to {"returned":10} at first, to {"halted":1,"returned":9} when it was done again',
      },
    ]);
  });

  it('of several files become one, whatever they have in common', () => {
    const [a, b, all] = [path(), path(), path()].map((file) => Results.create(file, plan));
    if (a === undefined || b === undefined || all === undefined) throw new Error('three');
    for (const part of [a, b]) part.plan(plan, units);
    a.add(u0.id, u0.unit, performed({ returned: 10 }, [finding]));
    a.add(u1.id, u1.unit, performed({ returned: 10 }));
    b.add(u1.id, u1.unit, performed({ returned: 10 }));
    b.add(u2.id, u2.unit, performed({ halted: 10 }));
    all.merge(a);
    all.merge(b);
    all.merge(b);
    expect(all.count).toEqual({ units: 4, done: 3, findings: 1 });
    expect(reportOn(all, { timings: false }).matrix).toEqual([
      {
        row: 'fuzz guest',
        cells: [{ column: 'x64', units: 4, done: 3, cases: 30, findings: 1 }],
        counts: [
          { what: 'returned', times: 20 },
          { what: 'halted', times: 10 },
        ],
      },
    ]);
    for (const one of [a, b, all]) one[Symbol.dispose]();
  });

  it('in another order give the same report', () => {
    const reports = [
      [u0, u1, u2],
      [u2, u0, u1],
    ].map((order) => {
      using results = Results.create(path(), plan);
      results.plan(plan, units);
      for (const { id, unit } of order)
        results.add(id, unit, {
          ...performed({ [`of ${unit.first}`]: 10 }, [finding]),
          seconds: Math.random(),
        });
      return JSON.stringify(reportOn(results, { timings: false }));
    });
    expect(reports[1]).toBe(reports[0]);
  });

  it('are refused when they are not a campaign’s, or another one’s', () => {
    const text = path();
    writeFileSync(text, 'not a database, but long enough to be one');
    expect(() => Results.open(text)).toThrow(expect.objectContaining({ rule: 'results.format' }));
    expect(() => Results.create(text, plan)).toThrow(expect.objectContaining({ rule: 'results.format' }));
    expect(() => Results.open(path())).toThrow(expect.objectContaining({ rule: 'results.format' }));
    const file = path();
    Results.create(file, plan)[Symbol.dispose]();
    expect(() => Results.create(file, { name: 'another' })).toThrow(
      expect.objectContaining({
        rule: 'results.campaign',
        message: expect.stringContaining("'test', not of 'another'"),
      }),
    );
  });
});
