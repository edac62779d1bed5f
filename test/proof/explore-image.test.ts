import { describe, expect, it } from 'vitest';
import { hotpatch } from '../cli/hotpatch.js';
import { fixture } from '../support.js';

const DEMO = ['--with', fixture('x64/hpimport.dll'), '--image', fixture('x64/base/demo.dll')];
const PATCH = ['--patch', fixture('x64/patch/demo_hp.dll')];

interface Report {
  readonly explorations: readonly {
    readonly kind: string;
    readonly complete: boolean;
    readonly expected: { readonly before: number; readonly after: number };
    readonly violations: readonly { readonly rule: string }[];
  }[];
}

describe('hotpatch explore --image', () => {
  it('every operation of an image and its hotpatch', async () => {
    const options = ['--call', 'hp_entry 0 3 4', '--calls', '1', '--json'];
    const { code, json, stderr } = await hotpatch('explore', ...DEMO, ...PATCH, ...options);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const { explorations } = json as Report;
    // What `hotpatch call` prints of the same call without and with the patch.
    const [base, patched] = [0x77, 0x93];
    expect(explorations).toMatchObject([
      { kind: 'apply', complete: true, expected: { before: base, after: patched }, violations: [] },
      { kind: 'repatch', complete: true, expected: { before: patched, after: patched }, violations: [] },
      { kind: 'revert', complete: true, expected: { before: patched, after: base }, violations: [] },
    ]);
  });

  it('a negative control is caught on real code', async () => {
    const options = [
      '--call',
      'hp_entry 0 3 4',
      '--calls',
      '1',
      '--fetch',
      'weak',
      '--operation',
      'apply',
      '--json',
    ];
    const control = ['--protocol', 'no-serialisation'];
    const { code, json } = await hotpatch('explore', ...DEMO, ...PATCH, ...options, ...control);
    expect(code).toBe(1);
    expect((json as Report).explorations[0]?.violations.map(({ rule }) => rule)).toContain('stale');
  });

  it.each([
    ['nothing to explore', [], /write a scenario, or --image/],
    ['no patch', DEMO, /--image needs --patch/],
    ['no call', [...DEMO, ...PATCH], /--image needs --call/],
    ['a call of nothing', [...DEMO, ...PATCH, '--call', ' '], /write FUNCTION ARGUMENTS/],
    ['a result that there is not', [...DEMO, ...PATCH, '--call', 'hp_entry $1'], /there is no result 1/],
    ['a function that there is not', [...DEMO, ...PATCH, '--call', 'no_such'], /no symbol 'no_such'/],
    [
      'an operation that there is not',
      [...DEMO, ...PATCH, '--call', 'hp_entry 0', '--operation', '9'],
      /3 operations/,
    ],
  ])('%s', async (_, options, text) => {
    const { code, stderr } = await hotpatch('explore', ...options);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(text);
    expect(stderr).not.toMatch(/bug in hotpatch-lab/);
  });
});
