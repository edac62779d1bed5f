import { spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hotpatch } from './hotpatch.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const fixture = (path: string) => join(root, 'test/fixtures/x64', path);
const scenario = join(root, 'scenarios/rollback.ts');
const work = mkdtempSync(join(tmpdir(), 'hotpatch-ströme-'));
afterAll(() => rmSync(work, { recursive: true }));
beforeAll(() => {
  const main = pathToFileURL(join(root, 'cli/main.ts')).href;
  writeFileSync(
    join(work, 'launch.mjs'),
    `import { main, watchStreams } from '${main}';\nwatchStreams();\nprocess.exitCode = await main(process.argv.slice(2));\n`,
  );
});

/** Every command that ends by itself, with words that make it print more than one line. */
const COMMANDS: Readonly<Record<string, readonly string[]>> = {
  run: [scenario],
  call: [fixture('base/demo.dll'), 'fib', '5', '--repeat', '3'],
  inspect: [fixture('base/demo.dll')],
  check: [fixture('base/demo.dll'), '--all'],
  verify: [fixture('patch/packets_hp.sys'), '--base', fixture('base/packets.sys')],
  explore: [scenario, '--most-states', '20'],
  step: [scenario, '--command', 'k; r; u'],
  scan: [fixture('base/demo.dll')],
  dump: [scenario, '--out', join(work, 'r.dmp')],
  doctor: [],
  completion: ['bash'],
  '--help': [],
};

interface Ended {
  readonly code: number | null;
  readonly stderr: string;
}

/** The command as a process of its own; its stdout goes where `consume` lets it. */
function start(
  args: readonly string[],
  stdout: 'pipe' | number,
  consume?: (child: NodeJS.ReadableStream) => void,
) {
  const child = spawn(process.execPath, ['--import', 'tsx', join(work, 'launch.mjs'), ...args], {
    cwd: root,
    stdio: ['ignore', stdout, 'pipe'],
  });
  if (child.stdout !== null) consume?.(child.stdout);
  let stderr = '';
  child.stderr?.on('data', (chunk) => {
    stderr += String(chunk);
  });
  return new Promise<Ended>((resolve) => child.on('close', (code) => resolve({ code, stderr })));
}

describe.each(Object.entries(COMMANDS))('hotpatch %s', (command, words) => {
  it('ends silently when nobody reads any more', async () => {
    const { code, stderr } = await start([command, ...words], 'pipe', (stdout) => {
      (stdout as unknown as { destroy(): void }).destroy();
    });
    expect(stderr).not.toMatch(/EPIPE|at .*\.[jt]s:\d+/);
    expect([0, 1, 141]).toContain(code);
  });

  it.skipIf(command.startsWith('-'))('refuses an unknown option', async () => {
    const { code, stderr } = await hotpatch(command, ...words, '--no-such-option');
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('--no-such-option') });
  });
});

describe('a disk that is full', () => {
  it.skipIf(!existsSync('/dev/full'))('is said, and ends with 2', async () => {
    const full = openSync('/dev/full', 'w');
    const { code, stderr } = await start(['inspect', fixture('base/demo.dll')], full);
    closeSync(full);
    expect({ code, stderr }).toEqual({ code: 2, stderr: 'hotpatch: stdout: no space left on the disk\n' });
  });
});

/** Commands that write files: which option, and what they read. */
const WRITERS: readonly (readonly [
  command: string,
  option: string,
  words: readonly string[],
  input: string,
])[] = [
  ['run', '--junit', [], 'a.ts'],
  ['record', '--out', [], 'a.ts'],
  ['trace', '--drcov', [], 'a.ts'],
  ['dump', '--out', [], 'a.ts'],
  ['trace', '--events', [], 'a.ts'],
  ['check', '--sarif', [], 'demo.dll'],
  ['verify', '--sarif', ['--base', fixture('base/packets.sys')], 'packets_hp.sys'],
  ['build', '--out', ['--fixed', fixture('fixed/packets.sys'), '--base'], 'packets.sys'],
];

describe.each(WRITERS)('hotpatch %s %s', (command, option, words, name) => {
  const sources: Readonly<Record<string, string>> = {
    'a.ts': scenario,
    'demo.dll': fixture('base/demo.dll'),
    'packets_hp.sys': fixture('patch/packets_hp.sys'),
    'packets.sys': fixture('base/packets.sys'),
  };
  const input = () => {
    const path = join(work, name);
    writeFileSync(path, readFileSync(sources[name] ?? ''));
    return path;
  };
  const inputLast = (file: string) => (words.at(-1) === '--base' ? [...words, file] : [file, ...words]);

  it('never writes over what it reads', async () => {
    const file = input();
    const before = readFileSync(file);
    const { code, stderr } = await hotpatch(command, ...inputLast(file), option, file);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('is an input') });
    expect(readFileSync(file)).toEqual(before);
  });

  it('says that a folder is none, and leaves nothing half written', async () => {
    const file = input();
    const missing = await hotpatch(command, ...inputLast(file), option, join(work, 'no', 'out'));
    expect({ code: missing.code, stderr: missing.stderr }).toEqual({
      code: 2,
      stderr: expect.stringContaining('there is no folder'),
    });
    const folder = await hotpatch(command, ...inputLast(file), option, work);
    expect({ code: folder.code, stderr: folder.stderr }).toEqual({
      code: 2,
      stderr: expect.stringContaining('is a folder'),
    });
    expect(readdirSync(work).filter((left) => left.endsWith('.tmp'))).toEqual([]);
  });
});

describe('hotpatch run gives a result for every file', () => {
  const written = (name: string, body: string) => {
    const file = join(work, name);
    writeFileSync(file, body);
    return file;
  };
  const told = (name: string, body: string) =>
    written(
      name,
      `import { defineScenario } from 'hotpatch-lab';\nexport default defineScenario('${name}', async ({ expect }) => {\n${body}\n});\n`,
    );

  it('whatever a scenario does, in JSON and JUnit', async () => {
    const files = [
      join(work, 'absent.ts'),
      written('no-scenario.ts', 'export default 1;\n'),
      told('throws.ts', 'throw new Error("own");'),
      told(
        'rejects.ts',
        'Promise.reject(new Error("nobody handles"));\nawait new Promise((resolve) => setTimeout(resolve, 50));',
      ),
      told('fails.ts', 'console.log("noise");\nexpect(1).toBe(2);'),
      told('holds.ts', 'console.log("noise");\nexpect(1).toBe(1);'),
    ];
    const junit = join(work, 'r.xml');
    const { code, json, stderr } = await hotpatch('run', '--json', '--junit', junit, ...files);
    expect(code).toBe(2);
    const { scenarios } = json as {
      scenarios: { file: string; held: boolean; error?: { message: string; line?: number } }[];
    };
    expect(scenarios.map(({ file, held }) => [file, held])).toEqual(
      files.map((file) => [file, file.endsWith('holds.ts')]),
    );
    expect(scenarios[4]?.error).toMatchObject({ message: 'expected 1 to be 2', line: 4 });
    expect(stderr).toContain(`fails.ts: line 4:`);
    expect(readFileSync(junit, 'utf8').match(/<testcase /g)?.length).toBe(files.length);
  });

  it.each([
    ['never settles', 'await new Promise(() => {});', 'never settles'],
    ['ends the process', 'process.exit(0);', 'process.exit(0)'],
  ])('also when one %s', async (name, body, message) => {
    const bad = told(`${name.replaceAll(' ', '-')}.ts`, body);
    const good = told('after.ts', 'expect(1).toBe(1);');
    let stdout = '';
    const { code } = await start(['run', '--json', bad, good], 'pipe', (stream) => {
      stream.on('data', (chunk) => {
        stdout += String(chunk);
      });
    });
    expect(code).toBe(1);
    const { scenarios } = JSON.parse(stdout) as {
      scenarios: { held: boolean; error?: { message: string } }[];
    };
    expect(scenarios[0]?.error?.message).toContain(message);
    if (name === 'never settles') expect(scenarios[1]?.held).toBe(true);
    expect(scenarios.length).toBe(2);
  });
});

describe('words that are no numbers', () => {
  it.each([
    ['run', [scenario, '--seed', '']],
    ['run', [scenario, '--seed', '1.5']],
    ['call', [fixture('base/demo.dll'), 'fib', '--hot-patch-table-size', '5000000000']],
    [
      'verify',
      [
        fixture('patch/packets_hp.sys'),
        '--base',
        fixture('base/packets.sys'),
        '--hot-patch-table-size',
        '0x10000001',
      ],
    ],
  ])('hotpatch %s %j', async (command, words) => {
    expect(await hotpatch(command, ...words)).toMatchObject({ code: 2, stdout: '' });
  });
});

describe('what did not succeed does not exit with 0', () => {
  it('an exploration that is not complete, with a bound that is exact', async () => {
    const { code, json } = await hotpatch(
      'explore',
      scenario,
      '--operation',
      '1',
      '--most-states',
      '40',
      '--json',
    );
    expect(code).toBe(1);
    expect(json).toMatchObject({ complete: false, states: 40, explorations: [{ bound: '40 states' }] });
  });

  it('a command that the debugger does not have', async () => {
    const { code, stdout } = await hotpatch('step', scenario, '--command', 'bogus');
    expect({ code, stdout }).toEqual({ code: 1, stdout: expect.stringContaining("'bogus' is no command") });
  });

  it('a variable that nobody exports', async () => {
    const { code, stderr } = await hotpatch('call', fixture('base/demo.dll'), 'read_imp_counter');
    expect(code).toBe(1);
    expect(stderr).toContain('hpimport.dll!imp_counter, which nobody exports');
  });
});
