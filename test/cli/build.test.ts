import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readImage } from 'hotpatch-lab/image';
import { afterAll, describe, expect, it } from 'vitest';
import { fixture } from '../support.js';
import { hotpatch } from './hotpatch.js';

const work = mkdtempSync(join(tmpdir(), 'hotpatch-build-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));

const base = fixture('x64/base/demo.dll');
const fixed = fixture('x64/fixed/demo.dll');
const symbols = fixture('x64/fixed/demo.map');

describe('hotpatch build', () => {
  it('writes a hotpatch image and says why each function is in or out', async () => {
    const out = join(work, 'demo_hp.dll');
    const { code, stdout, stderr } = await hotpatch('build', '--base', base, '--fixed', fixed, '--out', out);
    expect(code).toBe(0);
    expect(stdout).toMatch(/patched: the base leads to the new one\n {2}copy_name +the instructions differ/);
    expect(stdout).toMatch(/new_helper +the base has no function of this name; reached by hp_entry/);
    expect(stdout).toMatch(/6 forward FUNCTION\n$/);
    expect(stderr).toMatch(/warning: op_add: .*\(escape\.function\)\n {2}hint: /);
    expect(readImage(new Uint8Array(readFileSync(out))).hotPatch?.sequenceNumber).toBe(1);
  });

  it('prints one JSON document', async () => {
    const out = join(work, 'json.dll');
    const { json } = await hotpatch(
      'build',
      '--base',
      base,
      '--fixed',
      fixed,
      '--out',
      out,
      '--sequence',
      '0x7',
      '--json',
    );
    expect(json).toMatchObject({
      out,
      sequenceNumber: 7,
      records: expect.arrayContaining([{ direction: 'forward', type: 'FUNCTION', records: 6 }]),
    });
  });

  it('does not change the files that it reads', async () => {
    const before = readFileSync(fixed);
    await hotpatch('build', '--base', base, '--fixed', fixed, '--out', join(work, 'again.dll'));
    expect(readFileSync(fixed).equals(before)).toBe(true);
    expect(readFileSync(join(work, 'again.dll')).equals(readFileSync(join(work, 'demo_hp.dll')))).toBe(true);
  });

  it.each([
    { what: 'equal builds', args: ['--base', base, '--fixed', base], code: 1, text: /patch\.empty/ },
    {
      what: 'another processor',
      args: ['--base', base, '--fixed', fixture('x86/fixed/demo.dll')],
      code: 1,
      text: /image\.machine/,
    },
    {
      what: 'an unknown rule',
      args: ['--base', base, '--fixed', fixed, '--allow', 'no.such'],
      code: 2,
      text: /there is no such rule/,
    },
    {
      what: 'a missing file',
      args: ['--base', base, '--fixed', join(work, 'absent')],
      code: 2,
      text: /there is no such file/,
    },
  ])('refuses $what and writes nothing', async ({ args, code, text }) => {
    const out = join(work, 'refused.dll');
    const result = await hotpatch('build', ...args, '--out', out);
    expect(result.code).toBe(code);
    expect(result.stderr).toMatch(text);
    expect(existsSync(out)).toBe(false);
  });
});

describe('hotpatch verify', () => {
  const patch = fixture('x64/patch/demo_hp.dll');

  it('accepts the hotpatch of this base', async () => {
    const { code, stdout } = await hotpatch('verify', patch, '--base', base, '--patch-symbols', symbols);
    expect(stdout).toMatch(/can be applied/);
    expect(code).toBe(0);
  });

  it('refuses it for another base, with rule and status', async () => {
    const { code, stderr } = await hotpatch('verify', patch, '--base', fixture('x64/hpimport.dll'));
    expect(code).toBe(1);
    expect(stderr).toMatch(/identity\.checkSum, STATUS_REVISION_MISMATCH/);
  });

  it('refuses an image without a table', async () => {
    const { code, json } = await hotpatch('verify', fixed, '--base', base, '--json');
    expect(code).toBe(1);
    expect(json).toMatchObject({ isValid: false, formatFindings: [{ rule: 'hotPatch.absent' }] });
  });

  it('reads what is no image as unreadable input', async () => {
    const file = join(work, 'text.dll');
    writeFileSync(file, 'not an image');
    expect((await hotpatch('verify', file, '--base', base)).code).toBe(2);
  });

  it.each([
    { what: 'a call without a fixed build', args: ['--call', 'hp_entry 0'], text: /--call needs --fixed/ },
    {
      what: 'an argument that is nothing which a call takes',
      args: ['--fixed', fixed, '--call', 'hp_entry x'],
      text: /argument .x. is neither a number/,
    },
  ])('is used wrongly with $what', async ({ args, text }) => {
    const { code, stderr } = await hotpatch('verify', patch, '--base', base, ...args);
    expect(stderr).toMatch(text);
    expect(code).toBe(2);
  });
});
