import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { fixture, fixtureBytes } from '../support.js';
import { hotpatch } from './hotpatch.js';

const work = mkdtempSync(join(tmpdir(), 'hotpatch-bad-'));
afterAll(() => rmSync(work, { recursive: true }));

const write = (name: string, contents: Uint8Array | string) => {
  writeFileSync(join(work, name), contents);
  return join(work, name);
};

const image = fixture('x64/base/demo.dll');
const fixed = fixture('x64/fixed/demo.dll');
const patch = fixture('x64/patch/demo_hp.dll');
const otherMachine = fixtureBytes('x64/base/demo.dll');
new DataView(otherMachine.buffer).setUint16(
  new DataView(otherMachine.buffer).getUint32(0x3c, true) + 4,
  0x200,
  true,
);
mkdirSync(join(work, 'folder'));

const BAD_IMAGES = [
  { what: 'a missing file', path: join(work, 'missing.dll'), text: 'there is no such file' },
  { what: 'a folder', path: join(work, 'folder'), text: 'folder: is a folder, not a file' },
  { what: 'an empty file', path: write('empty.dll', ''), text: 'headers.dosSignature' },
  { what: 'a text', path: write('text.dll', 'hello '.repeat(100)), text: 'headers.dosSignature' },
  {
    what: 'a truncated image',
    path: write('short.dll', fixtureBytes('x64/base/demo.dll').slice(0, 700)),
    text: 'headers.sizeOfHeaders',
  },
  { what: 'another machine', path: write('ia64.dll', otherMachine), text: 'headers.machine' },
];

const out = join(work, 'out.dll');
const COMMANDS: Readonly<Record<string, (path: string) => string[]>> = {
  inspect: (path) => ['inspect', path],
  check: (path) => ['check', path],
  call: (path) => ['call', path, 'hp_entry'],
  'call --patch': (path) => ['call', image, 'hp_entry', '--patch', path],
  verify: (path) => ['verify', path, '--base', image],
  'verify --base': (path) => ['verify', patch, '--base', path],
  'build --base': (path) => ['build', '--base', path, '--fixed', fixed, '--out', out],
  'build --fixed': (path) => ['build', '--base', image, '--fixed', path, '--out', out],
};

describe.each(BAD_IMAGES)('$what', ({ path, text, what }) => {
  it.each(Object.keys(COMMANDS))('hotpatch %s names the file and what is wrong with it', async (name) => {
    const { code, stdout, stderr } = await hotpatch(...(COMMANDS[name]?.(path) ?? []));
    expect(code).toBe(2);
    // What can be shown of an image is shown.
    if (name !== 'inspect' || what !== 'another machine') expect(stdout).toBe('');
    expect(stderr).toContain(path);
    expect(stderr).toContain(text);
    expect(stderr).not.toContain('    at ');
  });

  it.each(Object.keys(COMMANDS))('hotpatch %s --json prints one document all the same', async (name) => {
    const { code, json } = await hotpatch(...(COMMANDS[name]?.(path) ?? []), '--json');
    expect(code).toBe(2);
    if (name === 'inspect' && what === 'another machine') expect(json).toHaveProperty('problems');
    else expect(json).toMatchObject({ exitCode: 2, error: { message: expect.any(String) } });
  });
});

const scenario = (body: string) =>
  `import { defineScenario, Lab } from 'hotpatch-lab';\nexport default defineScenario('t', async ({ expect }) => {\n${body}\n});\n`;

const BAD_SCENARIOS = [
  { what: 'a missing file', path: join(work, 'missing.ts'), code: 2, text: 'there is no such file' },
  { what: 'a folder', path: join(work, 'folder'), code: 2, text: 'is a folder' },
  { what: 'a syntax error', path: write('syntax.ts', 'export default {'), code: 2, text: 'syntax.ts: ' },
  {
    what: 'no default export',
    path: write('none.ts', 'export const a = 1;'),
    code: 2,
    text: 'default export',
  },
  {
    what: 'an error while it is loaded',
    path: write('throws.ts', 'throw new Error("at import");'),
    code: 2,
    text: 'throws.ts: while it was loaded: Error: at import',
  },
  {
    what: 'an import that is missing',
    path: write('import.ts', 'import x from "./nothere.js"; export default x;'),
    code: 2,
    text: 'nothere.js',
  },
  {
    what: 'an image that is missing',
    path: write(
      'image.ts',
      scenario("await (await Lab.boot({ architecture: 'x64' })).loadDriver('nothere.sys');"),
    ),
    code: 2,
    text: 'nothere.sys: there is no such file',
  },
  {
    what: 'an expectation that does not hold',
    path: write('expect.ts', scenario('expect(1).toBe(2);')),
    code: 1,
    text: 'expected 1 to be 2',
  },
  {
    what: 'an error of its own',
    path: write('own.ts', scenario('const nothing: { f?: () => void } = {};\n(nothing.f as () => void)();')),
    code: 1,
    text: 'own.ts: line 4:',
  },
];

describe.each(BAD_SCENARIOS)('a scenario with $what', ({ path, code, text }) => {
  it.each([['run'], ['trace', '--events', join(work, 'events')]])('hotpatch %s', async (name, ...flags) => {
    const ran = await hotpatch(name, path, ...flags);
    expect(ran.code).toBe(code);
    expect(ran.stderr).toContain(name === 'trace' ? text.replace(/line 4:$/, '') : text);
    expect(ran.stderr).not.toContain('    at ');
  });

  it('hotpatch run --json', async () => {
    const { json } = await hotpatch('run', path, '--json');
    expect(JSON.stringify(json)).toContain('"exitCode":');
  });
});

describe('words that mean nothing', () => {
  it.each([
    { args: ['nonsense'], text: "unknown command 'nonsense'" },
    { args: ['call', image, 'hp_entry', '--nonsense'], text: "unknown option '--nonsense'" },
    { args: ['call', image], text: "missing required argument 'function'" },
    { args: ['call', image, 'nofunc'], text: "there is no symbol 'nofunc'" },
    { args: ['call', image, '+zz'], text: 'is not a place' },
    { args: ['call', image, 'hp_entry', 'abc'], text: "argument 'abc' is neither a number" },
    { args: ['call', image, 'hp_entry', `0x1${'0'.repeat(16)}`], text: 'does not fit into 64 bits' },
    { args: ['call', image, 'hp_entry', 'buf:-1'], text: 'write buf:N' },
    { args: ['call', image, 'hp_entry', '@missing'], text: 'missing: there is no such file' },
    { args: ['call', image, 'hp_entry', '--repeat', '0'], text: 'it must be from 1' },
    { args: ['call', image, 'hp_entry', '--processors', '65'], text: 'it must be from 1 to 64' },
    { args: ['call', image, 'hp_entry', '--seed', 'x'], text: "'x' is not a whole number" },
    { args: ['inspect', image, '--only', 'nonsense'], text: 'Allowed choices are headers' },
    { args: ['build', '--base', image], text: "required option '--fixed <image>'" },
    {
      args: ['build', '--base', image, '--fixed', fixed, '--out', out, '--sequence', '0'],
      text: 'it must be from 1',
    },
    { args: ['explore', 'x.ts', '--cpus', '5'], text: 'the explorer takes 1 to 4 processors' },
    { args: ['explore', 'x.ts', '--fetch', 'x'], text: 'Allowed choices are coherent, weak' },
    { args: ['gdb', 'x.ts', '--port', '65536'], text: 'it must be from 0 to 65535' },
    { args: ['trace', 'x.ts'], text: 'say what to write' },
    { args: ['completion', 'csh'], text: 'Allowed choices are bash, zsh, fish' },
  ])('hotpatch $args', async ({ args, text }) => {
    const { code, stdout, stderr } = await hotpatch(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(text);
    expect(stderr).toMatch(/^hotpatch: (?!error:)/);
  });
});

describe('output that cannot be written', () => {
  const nowhere = join(work, 'nowhere', 'file');
  it.each([
    { args: ['check', image, '--sarif', nowhere] },
    { args: ['verify', patch, '--base', image, '--sarif', nowhere] },
    { args: ['build', '--base', image, '--fixed', fixed, '--out', nowhere] },
    { args: ['run', 'scenarios/rollback.ts', '--junit', nowhere] },
    { args: ['trace', 'scenarios/rollback.ts', '--events', nowhere] },
  ])('hotpatch $args.0', async ({ args }) => {
    const { code, stderr } = await hotpatch(...args);
    expect(code).toBe(2);
    expect(stderr).toContain(`file: cannot be written: there is no folder ${join(work, 'nowhere')}`);
  });

  it('is never an input', async () => {
    const copy = write('copy.dll', fixtureBytes('x64/base/demo.dll'));
    const { code, stderr } = await hotpatch('build', '--base', copy, '--fixed', fixed, '--out', copy);
    expect(code).toBe(2);
    expect(stderr).toContain('would be written over');
    expect(new Uint8Array(readFileSync(copy))).toEqual(fixtureBytes('x64/base/demo.dll'));
  });
});

describe('what was asked for', () => {
  it('is the version', async () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
    expect(await hotpatch('--version')).toMatchObject({ code: 0, stdout: `${version}\n`, stderr: '' });
  });

  it('is help, with an example for each command', async () => {
    const { stdout } = await hotpatch('--help');
    const commands = [...stdout.matchAll(/^ {2}([a-z]+) /gm)].map(([, name = '']) => name);
    expect(commands).toEqual(expect.arrayContaining(['run', 'completion', 'doctor']));
    for (const command of commands.filter((name) => name !== 'help')) {
      const help = await hotpatch(command, '--help');
      expect(help.code).toBe(0);
      expect(help.stdout).toMatch(/Example:\n {2}\w+/);
    }
  });
});

describe('--json of the debugger and its exports', () => {
  it('is one document with what was printed', async () => {
    const { code, json } = await hotpatch('step', 'scenarios/rollback.ts', '--command', 'r; q', '--json');
    expect(code).toBe(0);
    expect(json).toMatchObject({ held: true, commands: 'r; q', output: expect.any(Array) });
    expect((json as { output: string[] }).output.some((line) => line.includes('rip='))).toBe(true);
  });

  it('needs a script, not a prompt', async () => {
    expect(await hotpatch('step', 'scenarios/rollback.ts', '--json')).toMatchObject({
      code: 2,
      json: { error: { message: expect.stringContaining('--json needs --command') } },
    });
  });

  it('names what was written', async () => {
    const events = join(work, 'events.jsonl');
    const { code, json } = await hotpatch('trace', 'scenarios/rollback.ts', '--events', events, '--json');
    expect(code).toBe(0);
    expect(json).toEqual({ scenario: 'scenarios/rollback.ts', held: true, written: [events] });
  });
});
