import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { fixture } from '../support.js';
import { hotpatch } from './hotpatch.js';

const base = fixture('x64/base/demo.dll');
const fixed = fixture('x64/fixed/demo.dll');

/** `verify` of the demonstration's hotpatch, with the calls to make and the build that is said to be fixed. */
const verify = (alone: string, ...args: string[]) =>
  hotpatch(
    ...['verify', fixture('x64/patch/demo_hp.dll'), '--base', base, '--fixed', alone],
    ...['--patch-symbols', fixture('x64/fixed/demo.map'), '--with', fixture('x64/hpimport.dll')],
    ...args,
  );

describe('the calls of hotpatch verify', { timeout: 300_000 }, () => {
  const work = mkdtempSync(join(tmpdir(), 'hotpatch-calls-'));
  afterAll(() => rmSync(work, { recursive: true, force: true }));

  it('are made on base, fixed build and patched base', async () => {
    const { code, stdout, stderr } = await verify(fixed, '--call', 'hp_entry 0 3 4');
    expect(stderr).not.toContain('disagreement');
    expect(stdout).toMatch(/1 call\(s\) on .*, the patch landing at [1-9]\d* places: no disagreement/);
    expect(code).toBe(0);
  });

  it('come from a file too; one that another fix would answer otherwise is told', async () => {
    const calls = join(work, 'calls.txt');
    writeFileSync(calls, '# selector, then two numbers\nhp_entry 0 0x3 4 # the only call\n\n');
    const { code, json } = await verify(base, '--calls', calls, '--json');
    const wrong = expect.objectContaining({ kind: 'fresh', call: 'hp_entry 0 3 4' });
    expect(json).toMatchObject({
      isValid: true,
      behaviour: { calls: 1, disagreements: expect.arrayContaining([wrong]) },
    });
    expect(code).toBe(1);
  });
});

/** `Weigh 4` is 0 in the second fix alone, `SetTitle` of no room -1 from the first on (test/fixtures/src/2003/shell.c). */
describe.each(['x86', 'x64'])('the calls of hotpatch verify, generation 2003, %s', (architecture) => {
  const file = (path: string) => fixture(`2003/${architecture}/${path}`);
  const verify2003 = (patch: string, alone: string) =>
    hotpatch(
      ...['verify', file(`${patch}/shell_hp.dll`), '--base', file('base/shell.dll')],
      ...['--fixed', file(`${alone}/shell.dll`), '--call', 'Weigh 4', '--call', 'SetTitle 0 1 0', '--json'],
    );

  it('are made with the engine of that generation', async () => {
    const { code, json } = await verify2003('patch2', 'fixed2');
    expect(json).toMatchObject({ isValid: true, behaviour: { calls: 2, disagreements: [], mixtures: [] } });
    const { places } = (json as { behaviour: { places: number } }).behaviour;
    expect(places).toBeGreaterThan(4);
    expect(code).toBe(0);
  });

  it('tell what another fix would have answered', async () => {
    const { code, json } = await verify2003('patch1', 'fixed2');
    const wrong = { kind: 'fresh', call: 'Weigh 4', observed: '32767', right: '0' };
    expect(json).toMatchObject({ behaviour: { disagreements: [wrong] } });
    expect(code).toBe(1);
  });

  it('take texts and buffers; what a buffer holds afterwards is compared', async () => {
    const verifyCalls = (alone: string) =>
      hotpatch(
        ...['verify', file('patch1/shell_hp.dll'), '--base', file('base/shell.dll')],
        ...['--fixed', file(`${alone}/shell.dll`), '--json'],
        ...[
          '--call',
          'SetTitle buf:8 1 8',
          '--call',
          'SetTitle "some \\"room\\"" 2 0x4',
          '--call',
          'SetTitle buf:8 1 4',
        ],
      );
    const right = await verifyCalls('fixed1');
    expect(right.json).toMatchObject({ behaviour: { calls: 3, disagreements: [], mixtures: [] } });
    expect(right.code).toBe(0);
    const { json, code } = await verifyCalls('base');
    const { disagreements } = (json as { behaviour: { disagreements: object[] } }).behaviour;
    const call = 'SetTitle buf:8 1 4';
    // "edit" and its end mark, four bytes being all the room that the caller has said there is.
    expect(disagreements).toContainEqual({
      kind: 'fresh',
      call,
      observed: '-1 0000000000000000',
      right: '4 6564697400000000',
    });
    expect(disagreements).toContainEqual(
      expect.objectContaining({ call: 'SetTitle "some "room"" 2 4', observed: '-1' }),
    );
    expect(code).toBe(1);
  });
});
