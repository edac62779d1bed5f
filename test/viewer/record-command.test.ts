import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hotpatch } from '../cli/hotpatch.js';
import { fixture } from '../support.js';

const story = 'scenarios/first-trampoline.ts';

describe('hotpatch record', () => {
  const folder = mkdtempSync(join(tmpdir(), 'hotpatch-record-'));
  const out = join(folder, 'page.html');
  const scenario = (name: string, body: string) => {
    const file = join(folder, name);
    writeFileSync(
      file,
      `import { defineScenario, Lab } from 'hotpatch-lab';\nexport default defineScenario('${name}', async ({ expect, say }) => {\n${body}\n});\n`,
    );
    return file;
  };
  beforeAll(() => mkdirSync(join(folder, 'folder.html')));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('writes one page that holds everything and asks for nothing else', async () => {
    const { code, stdout, stderr } = await hotpatch('record', story, '--out', out);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/page\.html: \d+ steps, of these \d+ instructions and \d+ events, \d+ KB\n$/);
    const page = readFileSync(out, 'utf8');
    expect(page).toMatch(/^<!doctype html>/);
    expect(page).toContain('The first trampoline: what changes, byte by byte');
    expect(page).toMatch(/Content-Security-Policy" content="default-src 'none'; script-src 'sha256-/);
    expect(page).not.toMatch(/(?:src|href)="(?!#|data:)/);
    expect(page).not.toMatch(/https?:\/\/(?!www\.w3\.org\/2000\/svg)/);
  });

  it('--json: what is in it', async () => {
    const { code, json } = await hotpatch('record', story, '--out', out, '--json');
    expect(code).toBe(0);
    expect(json).toEqual({
      title: 'The first trampoline: what changes, byte by byte',
      architecture: 'x64',
      processors: 1,
      steps: expect.any(Number),
      instructions: expect.any(Number),
      events: expect.any(Number),
      patchedFunctions: 2,
      complete: true,
      out,
      bytes: readFileSync(out).length,
    });
  });

  it('--seed and --instructions; says when not all is recorded', async () => {
    const { code, json, stderr } = await hotpatch(
      ...['record', story, '--out', out, '--json', '--instructions', '20', '--seed', '7'],
    );
    expect(code).toBe(0);
    expect(json).toMatchObject({ instructions: 20, complete: false });
    expect(stderr).toContain('only the first 20 instructions are recorded');
    expect(readFileSync(out, 'utf8')).toContain('only the first 20 instructions recorded');
  });

  it('a scenario that fails: recorded up to there, exit code 1', async () => {
    const failing = scenario(
      'failing.ts',
      `const lab = await Lab.boot({ architecture: 'x64' });
       await lab.loadImage(${JSON.stringify(fixture('x64/hpimport.dll'))});
       expect(1).toBe(2);`,
    );
    const file = join(folder, 'failed.html');
    const { code, json, stderr } = await hotpatch('record', failing, '--out', file, '--json');
    expect(code).toBe(1);
    expect(stderr).toMatch(/failing\.ts: line 5:18: expected 1 to be 2/);
    expect(json).toMatchObject({ out: file, error: { message: 'expected 1 to be 2' } });
    expect(readFileSync(file, 'utf8')).toContain('failed: expected 1 to be 2');
  });

  it.each([
    [
      'a scenario that boots no machine',
      () => scenario('idle.ts', "say('hello');"),
      'there is nothing to record',
    ],
    ['a scenario that is not there', () => join(folder, 'nosuch.ts'), 'nosuch.ts'],
  ])('%s: exit code 2, and no page', async (_, file, message) => {
    const page = join(folder, 'none.html');
    const { code, stderr, stdout } = await hotpatch('record', file(), '--out', page);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(message);
    expect(existsSync(page)).toBe(false);
  });

  it.each([
    ['in a folder that is not there', 'nosuch/page.html', 'there is no folder'],
    ['that is a folder', 'folder.html', 'is a folder'],
  ])('a page %s: exit code 2', async (_, name, message) => {
    const { code, stderr } = await hotpatch('record', story, '--out', join(folder, name));
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });

  it.each([
    [['record', story]],
    [['record', story, '--out', out, '--instructions', '0']],
    [['record', story, '--out', out, '--seed', 'x']],
  ])('wrong usage: exit code 2 (%j)', async (words) => {
    expect((await hotpatch(...words)).code).toBe(2);
  });
});
