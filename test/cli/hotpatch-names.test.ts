import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hotPatchFileName, readImage } from 'hotpatch-lab/image';
import { afterAll, describe, expect, it } from 'vitest';
import { fixture } from '../support.js';
import { hotpatch } from './hotpatch.js';

const work = mkdtempSync(join(tmpdir(), 'hotpatch-names-'));
afterAll(() => rmSync(work, { recursive: true }));

const IMPORT = ['--with', fixture('x64/hpimport.dll')];

describe('the name of a hotpatch image', () => {
  it.each([
    ['appinfo.dll', 'appinfo_hotpatch.dll'],
    ['ntkrnlmp.exe', 'ntkrnlmp_hotpatch.exe'],
    ['C:\\Windows\\x.y\\api.ms.dll', 'C:\\Windows\\x.y\\api.ms_hotpatch.dll'],
    ['out.d/driver', 'out.d/driver_hotpatch'],
    ['out.d/', 'out.d/_hotpatch'],
  ])('%s', (base, expected) => {
    expect(hotPatchFileName(base)).toBe(expected);
  });

  it('is where build puts it by default, and where call --patch auto finds it', async () => {
    const base = join(work, 'demo.dll');
    copyFileSync(fixture('x64/base/demo.dll'), base);
    copyFileSync(fixture('x64/base/demo.map'), join(work, 'demo.map'));
    const missing = await hotpatch('call', base, 'fib', '5', ...IMPORT, '--patch', 'auto');
    expect(missing).toMatchObject({ code: 2, stdout: '' });
    expect(missing.stderr).toContain('--patch auto: there is no demo_hotpatch.dll beside');
    const words = ['--fixed', fixture('x64/fixed/demo.dll'), '--windows-build', '22631', '--json'];
    const built = await hotpatch('build', '--base', base, ...words);
    expect(built).toMatchObject({ code: 0, json: { out: join(work, 'demo_hotpatch.dll') } });
    expect(existsSync(join(work, 'demo_hotpatch.map'))).toBe(true);
    const image = readImage(readFileSync(join(work, 'demo_hotpatch.dll')));
    expect(image.hotPatch?.version).toBe(3);
    for (const build of ['22631', '26100']) {
      const words = ['hp_entry', '0', '3', '4', ...IMPORT, '--patch', 'auto', '--windows-build', build];
      const { json } = await hotpatch('call', base, ...words, '--json');
      expect(json).toMatchObject({
        result: '0x93',
        patches: [{ image: 'demo_hotpatch.dll', state: 'applied' }],
      });
    }
  });

  it.each([
    ['9999', 'it must be one of 17763, 20348, 22631, 26100, not 9999'],
    ['new', "'new' is not a whole number"],
  ])('--windows-build %s is refused', async (build, message) => {
    const base = fixture('x64/base/demo.dll');
    const { code, stderr } = await hotpatch('call', base, 'fib', '5', '--windows-build', build);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(message) });
  });

  it('a build that does not know the version of the table refuses it', async () => {
    const words = ['--patch', fixture('x64/patch/demo_hp.dll'), '--windows-build', '22631'];
    const { code, stderr } = await hotpatch(
      'call',
      fixture('x64/base/demo.dll'),
      'fib',
      '5',
      ...IMPORT,
      ...words,
    );
    expect(code).toBe(1);
    expect(stderr).toContain('the table has version 4; this build of Windows reads versions up to 3');
  });
});
