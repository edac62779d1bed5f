import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { hotpatch } from '../cli/hotpatch.js';
import { fixture } from '../support.js';
import { hasSqlite } from './sqlite.js';

const work = mkdtempSync(join(tmpdir(), 'hotpatch-campaign-command-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));
const at = (name: string) => join(work, name);

function plan(name: string, ...entries: readonly object[]): string {
  writeFileSync(at(`${name}.json`), JSON.stringify({ name, work: entries }));
  return at(`${name}.json`);
}

/** The demo of the fixtures, with its DLL that it imports from, beside a plan. */
function demo(folder: string): void {
  for (const part of ['base', 'fixed']) {
    mkdirSync(at(`${folder}/${part}`), { recursive: true });
    for (const file of ['demo.dll', 'demo.map'])
      copyFileSync(fixture(`x64/${part}/${file}`), at(`${folder}/${part}/${file}`));
  }
  for (const file of ['hpimport.dll', 'hpimport.map'])
    copyFileSync(fixture(`x64/${file}`), at(`${folder}/${file}`));
}

describe.skipIf(!hasSqlite)('hotpatch campaign', { timeout: 180_000 }, () => {
  it('runs a plan, goes on with what is left, and shows what came of it', async () => {
    const path = plan('small', { kind: 'fuzz', target: 'table', architectures: ['x64'], count: 12, unit: 6 });
    const first = await hotpatch('campaign', 'run', path, '--workers', '1', '--share', '1/2', '--json');
    expect(first).toMatchObject({ code: 0, json: { total: { units: 2, done: 1, cases: 6, findings: 0 } } });
    const second = await hotpatch('campaign', 'run', path, '--workers', '1', '--json');
    expect(second).toMatchObject({ code: 0, json: { total: { units: 2, done: 2, cases: 12, findings: 0 } } });
    const status = await hotpatch('campaign', 'status', at('small.sqlite'));
    expect(status.stdout).toContain('2 of 2 units, 12 cases');
  });

  it('is exit code 1 when something is found, in every report, and makes a test of it', async () => {
    demo('wrong');
    // The fix is applied to a base for which it is none: it must be refused, and the plan expects a patch.
    const path = plan('wrong/corpus', {
      kind: 'known-patches',
      cases: [
        { name: 'demo', base: 'base/demo.dll', fixed: 'base/demo.dll' },
        { name: 'fine', base: 'base/demo.dll', fixed: 'base/demo.dll', expect: 'refused' },
      ],
    });
    writeFileSync(path, readFileSync(path, 'utf8').replace('wrong/corpus', 'corpus'));
    const results = at('wrong/corpus.sqlite');
    const run = await hotpatch('campaign', 'run', path, '--workers', '1');
    expect(run.code).toBe(1);
    expect(run.stdout).toContain('known.refused: demo is refused (patch.empty), not patched');
    const files = ['html', 'xml', 'sarif'].map((kind) => at(`wrong/report.${kind}`));
    const [page = '', junit = '', sarif = ''] = files;
    const made = await hotpatch(
      'campaign',
      'report',
      results,
      '--out',
      page,
      '--junit',
      junit,
      '--sarif',
      sarif,
    );
    expect(made.code).toBe(1);
    expect(readFileSync(page, 'utf8')).toContain('demo is refused (patch.empty), not patched');
    const xml = readFileSync(junit, 'utf8');
    expect(xml).toContain('tests="2" failures="1"');
    expect(xml).toMatch(
      /<testcase name="demo" classname="known patches" assertions="1">\n {6}<failure message="demo is refused/,
    );
    const log = JSON.parse(readFileSync(sarif, 'utf8'));
    expect(log.runs[0].results).toMatchObject([{ ruleId: 'known.refused', level: 'error' }]);
    const [id] = Object.values(log.runs[0].results[0].fingerprints).map(String);
    const test = at('wrong/found.test.ts');
    const written = await hotpatch(
      'campaign',
      'case',
      results,
      id?.slice(0, 5) ?? '',
      '--out',
      test,
      '--json',
    );
    expect(written).toMatchObject({ code: 0, json: { rule: 'known.refused' } });
    const text = readFileSync(test, 'utf8');
    expect(text).toContain(`performUnit({"allow":[],"base":`);
    expect(text).toContain("new URL('./found.files', import.meta.url)");
  });

  it('compares a corpus of fixes with what the fixed builds do', async () => {
    demo('corpus');
    const path = plan('corpus/fixes', {
      kind: 'known-patches',
      cases: [
        {
          name: 'demo',
          base: 'base/demo.dll',
          fixed: 'fixed/demo.dll',
          with: ['hpimport.dll'],
          calls: ['hp_entry 0 3 4', 'hp_entry 1 0x10 2'],
        },
      ],
    });
    writeFileSync(path, readFileSync(path, 'utf8').replace('corpus/fixes', 'fixes'));
    const { code, json } = await hotpatch('campaign', 'run', path, '--workers', '1', '--json');
    expect(code).toBe(0);
    expect(json).toMatchObject({
      total: { findings: 0 },
      matrix: [{ row: 'known patches', counts: expect.arrayContaining([{ what: 'calls', times: 2 }]) }],
    });
  });

  it.each([
    { words: ['run'], message: 'this takes one file: a plan' },
    { words: ['run', 'nowhere.json'], message: 'nowhere.json: there is no such file' },
    { words: ['work'], message: 'work takes --queue' },
    { words: ['status', 'nowhere.sqlite'], message: 'there is no such file' },
    { words: ['report', 'nowhere.sqlite'], message: 'report writes --out' },
    { words: ['case', 'nowhere.sqlite'], message: 'case takes results and a finding' },
    { words: ['merge', 'a.sqlite'], message: 'merge takes results, and --out' },
    { words: ['dance'], message: 'Allowed choices are run, work' },
    { words: ['run', 'x.json', '--share', '3/2'], message: "--share '3/2'" },
    { words: ['run', 'x.json', '--workers', '0'], message: '--workers' },
  ])('is exit code 2 when it is called wrongly: $words', async ({ words, message }) => {
    const { code, stderr } = await hotpatch('campaign', ...words);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
    expect(stderr).not.toContain('bug in hotpatch-lab');
  });

  it('says where a plan is wrong', async () => {
    const path = plan('wrong-plan', { kind: 'fuzz', target: 'image', seeds: ['gone.dll'], count: 1 });
    const { code, stderr } = await hotpatch('campaign', 'run', path);
    expect(code).toBe(2);
    expect(stderr).toContain('gone.dll: there is no such file (plan.file)');
    writeFileSync(path, '{ "name": ');
    expect((await hotpatch('campaign', 'run', path)).stderr).toContain('plan.value');
  });
});
