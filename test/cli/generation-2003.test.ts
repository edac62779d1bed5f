import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { fixture } from '../support.js';
import { hotpatch } from './hotpatch.js';

const folder = mkdtempSync(join(tmpdir(), 'hotpatch-2003-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.each(['x86', 'x64'] as const)('hotpatches of 2003 at the command line, %s', (architecture) => {
  const file = (path: string) => fixture(`2003/${architecture}/${path}`);
  const base = file('base/shell.dll');
  const weigh = ['call', base, 'Weigh', '4'];

  it('call applies them, in order, and says which generation they are', async () => {
    const first = await hotpatch(...weigh, '--patch', file('patch1/shell_hp.dll'));
    expect(first.stdout).toContain('applied, generation 2003, 1 function(s), STATUS_SUCCESS');
    expect(first.stdout).toContain('= 32767');
    const patches = ['--patch', file('patch1/shell_hp.dll'), '--patch', file('patch2/shell_hp.dll')];
    const both = await hotpatch(...weigh, ...patches, '--json');
    expect(JSON.parse(both.stdout)).toMatchObject({
      result: '0x0',
      patches: [
        { generation: '2003', state: 'applied', targetName: 'shell.dll', functions: 1 },
        { generation: '2003', state: 'applied', functions: 2 },
      ],
    });
    const back = await hotpatch(...weigh, ...patches, '--unpatch', '--json');
    expect(JSON.parse(back.stdout)).toMatchObject({ result: '0x7fff', patches: [{ state: 'inactive' }, {}] });
  });

  it('call refuses both generations at once, and tells when the target is not there', async () => {
    const modern = fixture(`${architecture}/patch/demo_hp.dll`);
    const mixed = await hotpatch(...weigh, '--patch', file('patch1/shell_hp.dll'), '--patch', modern);
    expect(mixed.code).toBe(2);
    expect(mixed.stderr).toContain('is a hotpatch of the modern generation');
    const absent = await hotpatch(...weigh, '--patch', file('patch1/ntdll_hp.dll'));
    expect(absent.code).toBe(1);
    expect(absent.stderr).toContain('ntdll.dll is not loaded');
  });

  it('build makes one that verify accepts for its base and refuses for another', async () => {
    const out = join(folder, `${architecture}_hp.dll`);
    const built = await hotpatch(
      'build',
      '--generation',
      '2003',
      '--base',
      base,
      '--fixed',
      file('fixed2/shell.dll'),
      '--out',
      out,
    );
    expect(built.stdout).toContain('generation 2003, for shell.dll');
    const good = await hotpatch('verify', out, '--base', base);
    expect(good).toMatchObject({ code: 0 });
    expect(good.stdout).toContain('can be applied');
    const other = await hotpatch('verify', out, '--base', file('base/ntdll.dll'), '--json');
    expect(other.code).toBe(1);
    const rules = (JSON.parse(other.stdout) as { formatFindings: { rule: string }[] }).formatFindings;
    expect(rules.map(({ rule }) => rule)).toContain('target.name');
    expect(rules.map(({ rule }) => rule)).toContain('target.moduleId');
  });

  it('inspect shows the section', async () => {
    const path = file('patch2/shell_hp.dll');
    const text = await hotpatch('inspect', path, '--only', 'hotpatch');
    expect(text.stdout).toContain('X86_JMP2B');
    expect(text.stdout).toContain('PeChecksum');
    const json = JSON.parse((await hotpatch('inspect', path, '--json')).stdout) as Record<string, unknown>;
    expect(json.hotPatch).toBeNull();
    expect(json.hotp1).toMatchObject({ generation: '2003', targetName: 'shell.dll', findings: [] });
  });
});
