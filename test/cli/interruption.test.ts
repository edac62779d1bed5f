import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixture } from '../support.js';
import { BuiltCommand } from './built.js';

const work = mkdtempSync(join(tmpdir(), 'hotpatch-ströme-'));
let command: BuiltCommand;
beforeAll(async () => {
  command = await BuiltCommand.make();
});
afterAll(() => {
  command[Symbol.dispose]();
  rmSync(work, { recursive: true });
});

const scenario = (name: string, body: string) => {
  const file = join(work, `${name}.ts`);
  writeFileSync(
    file,
    `import { defineScenario } from 'hotpatch-lab';\nexport default defineScenario('${name}', async () => {\n${body}\n});\n`,
  );
  return file;
};

/** Where host code can be run; elsewhere the signal ends the command without a word. */
const isSaid = process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch);

describe.runIf(isSaid)('SIGINT in the middle of work that never lets JavaScript hear of it', () => {
  it.each([
    ['run', ['--junit', 'r.xml'], 'r.xml'],
    ['record', ['--out', 'o.html'], 'o.html'],
    ['explore', [], undefined],
  ])('hotpatch %s says what is kept, and leaves nothing half written', async (name, words, out) => {
    const file = scenario(`endless-${name}`, "process.stderr.write('begun\\n');\nfor (;;);");
    let isSent = false;
    const { signal, stderr } = await command.run([name, file, ...words], {
      cwd: work,
      onStderr(child, text) {
        if (isSent || !text.includes('begun')) return;
        isSent = true;
        child.kill('SIGINT');
      },
    });
    expect(signal).toBe('SIGINT');
    expect(stderr).toContain('no file was written');
    if (out !== undefined) expect(stderr).toContain(`not written: ${out}`);
    expect(readdirSync(work).filter((left) => !left.endsWith('.ts'))).toEqual([]);
  });
});

const DEMO = [
  ...['--with', fixture('x64/hpimport.dll'), '--image', fixture('x64/base/demo.dll')],
  ...['--patch', fixture('x64/patch/demo_hp.dll'), '--call', 'hp_entry 0 3 4'],
];

describe('SIGINT while hotpatch explore searches', () => {
  /** Runs a command, which SIGINT interrupts as soon as its thread has begun. */
  async function interrupted(words: readonly string[]) {
    const file = join(work, 'begun.mjs');
    const isThread = "import { isMainThread } from 'node:worker_threads';\nif (!isMainThread)";
    writeFileSync(file, `${isThread} process.stderr.write('begun\\n');\n`);
    let isSent = false;
    return command.run(words, {
      cwd: work,
      environment: { NODE_OPTIONS: `--import=${pathToFileURL(file).href}` },
      onStderr(child, text) {
        if (isSent || !text.includes('begun')) return;
        isSent = true;
        child.kill('SIGINT');
      },
    });
  }

  it('keeps what --checkpoint had before, and goes on with it', async () => {
    const words = ['explore', ...DEMO, '--operation', 'revert', '--json', '--workers', '1'];
    const kept = [...words, '--checkpoint', 'begun.checkpoint'];
    const whole = JSON.parse((await command.run(words, { cwd: work })).stdout);
    const begun = await command.run([...kept, '--most-states', '20'], { cwd: work });
    expect(JSON.parse(begun.stdout)).toMatchObject({ complete: false, states: 20 });
    const { code, signal } = await interrupted(kept);
    expect({ code, signal }).toEqual({ code: 1, signal: null });
    const { code: ended, stdout } = await command.run(kept, { cwd: work });
    const { states, transitions, violations } = whole;
    expect(ended).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ complete: true, states, transitions, violations });
    expect(readdirSync(work)).not.toContain('begun.checkpoint');
  });

  it('ends the search with what is known so far: exit code 1, one document, not complete', async () => {
    const words = ['explore', ...DEMO, '--cpus', '2', '--operation', 'apply', '--json', '--workers', '1'];
    const { code, signal, stdout } = await interrupted(words);
    expect({ code, signal }).toEqual({ code: 1, signal: null });
    expect(JSON.parse(stdout)).toMatchObject({
      complete: false,
      explorations: [{ kind: 'apply', complete: false, bound: 'an interruption' }],
    });
  });
});

describe('threads of hotpatch explore', () => {
  it('find the same, however many they are', async () => {
    const explored = async (workers: string) => {
      const { stdout } = await command.run([
        'explore',
        ...DEMO,
        '--most-states',
        '300',
        '--workers',
        workers,
      ]);
      return stdout.replace(/\d+ transitions\/s/g, '');
    };
    const alone = await explored('0');
    expect(alone.match(/complete: /g)).toHaveLength(3);
    expect(await explored('2')).toBe(alone);
  });
});

const NEVER = 'await new Promise(() => {});';
const NOBODY = "Promise.reject(new Error('own'));\nawait new Promise((done) => setTimeout(done, 200));";
const THROWS = "console.log('noise');\nthrow new TypeError('own');";

describe('--json is one document, with exit code 1,', () => {
  it.each([
    ['record', ['--out', 'o.html'], 'process.exit(0);'],
    ['record', ['--out', 'o.html'], NOBODY],
    ['trace', ['--events', 'e.jsonl'], NEVER],
    ['explore', [], THROWS],
    ['step', ['--command', 'g'], NEVER],
  ])('of hotpatch %s, whatever the scenario does', async (name, words, body) => {
    const file = scenario(`ends-${name}`, body);
    const { code, stdout, stderr } = await command.run([name, file, ...words, '--json'], { cwd: work });
    expect(JSON.parse(stdout)).toHaveProperty('error');
    expect(code).toBe(1);
    expect(stderr).not.toMatch(/bug in hotpatch-lab|at .*\.[jt]s:\d+/);
  });
});
