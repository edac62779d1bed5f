import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findSymbols } from 'hotpatch-lab/image';
import { afterAll, describe, expect, it } from 'vitest';
import { damaged, fixture } from '../support.js';
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

  it('build puts the symbols of the fixed build beside it, by which inspect names what hooks lead to', async () => {
    const out = join(folder, `${architecture}_named_hp.dll`);
    const inputs = ['--base', base, '--fixed', file('fixed1/shell.dll'), '--out', out];
    expect(await hotpatch('build', '--generation', '2003', ...inputs)).toMatchObject({ code: 0 });
    const { stdout } = await hotpatch('inspect', out);
    expect(stdout).toMatch(/jump in the padding +target [0-9a-fx]+ -> [0-9a-fx]+ CopyName /);
  });

  it.each([
    ['--functions', 'CopyName'],
    ['--object', 'a.obj'],
    ['--sequence', '2'],
    ['--previous', base],
    ['--pair', 'a=b'],
    ['--suggest'],
    ['--hot-patch-table-size', '0x1000'],
    ['--windows-build', '26100'],
  ])('build refuses what it would not look at: %s', async (...option) => {
    const out = join(folder, `${architecture}_refused_hp.dll`);
    const inputs = ['--base', base, '--fixed', file('fixed1/shell.dll'), '--out', out];
    const refused = await hotpatch('build', '--generation', '2003', ...inputs, ...option);
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr).toContain(`${option[0]} is for --generation modern`);
    expect(existsSync(out)).toBe(false);
  });

  it('build writes the coldpatch too, which a process runs from the beginning', async () => {
    const [out, cold] = [join(folder, `${architecture}_cp_hp.dll`), join(folder, `${architecture}_cold.dll`)];
    const inputs = ['--base', base, '--fixed', file('fixed2/shell.dll'), '--out', out];
    const built = await hotpatch('build', '--generation', '2003', ...inputs, '--coldpatch', cold);
    expect(built.stdout).toContain('the coldpatch: shell.dll with the fixed functions appended');
    for (const [image, result] of [
      [base, '0x7fff'],
      [cold, '0x0'],
    ] as const)
      expect((await hotpatch('call', image, 'Weigh', '4', '--json')).json).toMatchObject({ result });
    const wrong = await hotpatch('build', ...inputs, '--coldpatch', cold);
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('--generation 2003') });
  });

  describe('build refuses', () => {
    const out = join(folder, `${architecture}_refused.dll`);
    const build = (from: string, fixed: string, ...more: string[]) =>
      hotpatch('build', '--generation', '2003', '--base', from, '--fixed', fixed, '--out', out, ...more);
    const fixed = file('fixed2/shell.dll');
    /** The base, with something in the padding before a function. */
    const crowded = () => {
      const path = join(folder, architecture, 'shell.dll');
      const { image, symbols } = damagedBefore(architecture, 'ItemWeight');
      mkdirSync(join(folder, architecture), { recursive: true });
      writeFileSync(path, image.bytes);
      copyFileSync(symbols, join(folder, architecture, 'shell.map'));
      return path;
    };

    it.each([
      { what: 'equal builds', args: () => [base, base], rule: 'patch.empty', place: 'no function differs' },
      {
        what: 'a fix of another module',
        args: () => [base, file('fixed1/ntdll.dll')],
        rule: 'hotp1.exports',
        place: 'Copies: ',
      },
      {
        what: 'a function without padding',
        args: () => [crowded(), fixed],
        rule: 'hotp1.padding',
        place: 'ItemWeight: ',
      },
    ])('$what: it says which rule and where, and writes no file', async ({ args, rule, place }) => {
      const [from = '', to = ''] = args();
      const text = await build(from, to);
      expect(text).toMatchObject({ code: 1, stdout: '' });
      expect(text.stderr).toContain(`(${rule})`);
      expect(text.stderr).toContain(place);
      expect(text.stderr).toContain('hint: ');
      const { code, json } = await build(from, to, '--json');
      expect(code).toBe(1);
      expect(json).toMatchObject({ error: { rule, message: expect.stringContaining(place) } });
      expect(existsSync(out)).toBe(false);
    });

    it('what is not allowed to be allowed, and what is no rule', async () => {
      const padding = await build(crowded(), fixed, '--allow', 'hotp1.padding');
      expect(padding).toMatchObject({ code: 2, stdout: '' });
      expect(padding.stderr).toContain('hotp1.padding');
      expect(await build(base, fixed, '--allow', 'hotp1.nothing')).toMatchObject({ code: 2 });
      expect(existsSync(out)).toBe(false);
    });
  });

  it('check says whether an image can carry them', async () => {
    const good = await hotpatch('check', base, '--generation', '2003');
    expect(good).toMatchObject({ code: 0, stderr: '' });
    expect(good.stdout).toContain(`: ${architecture}, generation 2003, `);
    expect(good.stdout).toContain('ready: every function can be patched');
    const { code, json } = await hotpatch('check', base, '--json');
    expect([code, (json as { generation: string }).generation]).toEqual([1, 'modern']);
    const wrong = await hotpatch('check', base, '--generation', '2004');
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('modern, 2003') });
  });

  it('inspect shows the section', async () => {
    const path = file('patch2/shell_hp.dll');
    const text = await hotpatch('inspect', path, '--only', 'hotpatch');
    expect(text.stdout).toContain('X86_JMP2B');
    const { checkSum } = damaged(`2003/${architecture}/base/shell.dll`, () => undefined).optionalHeader;
    expect(text.stdout).toContain(`identified by          PeChecksum 0x${checkSum.toString(16)}\n`);
    const lines = text.stdout.split('\n').filter((line) => /^ {2}hook/.test(line));
    const [first, second, third] = lines.map((line) => line.replace(/ +/g, ' '));
    if (architecture === 'x86') {
      expect(first).toContain(
        'hook 0 X86_JMP jump in the padding target 0000103b -> 00001040 CopyName 5 bytes',
      );
      expect(second).toContain('hook 1 X86_JMP2B entry target 00001040 -> 0000103b (hook 0) 2 bytes');
    } else {
      expect(first).toContain(
        'hook 0 AMD64_CNT pointer of a jump target 00001238 -> 00001040 CopyName 8 bytes',
      );
      expect(second).toContain('hook 1 AMD64_IND jump in the padding target 0000103a -> 00001040 CopyName');
      expect(third).toContain('hook 2 X86_JMP2B entry target 00001040 -> 0000103a (hook 1) 2 bytes');
    }
    const json = JSON.parse((await hotpatch('inspect', path, '--json')).stdout) as Record<string, unknown>;
    expect(json.hotPatch).toBeNull();
    expect(json.hotp1).toMatchObject({ generation: '2003', targetName: 'shell.dll', findings: [] });
  });
});

/** shell.dll with other bytes directly before a function, and the path of its symbols. */
function damagedBefore(architecture: 'x86' | 'x64', name: string) {
  const path = `2003/${architecture}/base/shell.dll`;
  const intact = damaged(path, () => undefined);
  const rva = findSymbols({ image: intact, path: fixture(path) }).table.byName(name)?.rva ?? 0;
  const offset = intact.rvaToOffset(rva - 1) ?? 0;
  const image = damaged(path, (view) => void view.setUint8(offset, 0x41));
  return { image, symbols: fixture(path.replace('.dll', '.map')) };
}
