import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixture } from '../support.js';
import { BuiltCommand } from './built.js';

let command: BuiltCommand;
const work = mkdtempSync(join(tmpdir(), 'hotpatch-isolate-'));
beforeAll(async () => {
  command = await BuiltCommand.make();
});
afterAll(() => {
  command[Symbol.dispose]();
  rmSync(work, { recursive: true });
});

/** Whether a process of Linux can be found by its environment. */
const isFound = process.platform === 'linux';

/** The process whose environment names a file of last runs in this folder, when it runs guest code: its id. */
async function guestProcess(folder: string, runs: RegExp, isOver: () => boolean): Promise<number> {
  while (!isOver()) {
    for (const id of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        const environment = readFileSync(`/proc/${id}/environ`, 'latin1');
        const [, file] = new RegExp(`HOTPATCH_LAST_RUNS=(${folder}[^\0]*)`).exec(environment) ?? [];
        // Somebody has begun to run: what runs at this moment may be either.
        if (file !== undefined && runs.test(readFileSync(file, 'latin1'))) return Number(id);
      } catch {
        // It has ended meanwhile, or is nobody's business.
      }
    }
    await sleep(20);
  }
  throw new Error('no process has run guest code');
}

let folders = 0;

/** Runs the command, and sends a signal to the process that runs guest code for it. */
async function killed(words: readonly string[], signal: NodeJS.Signals, runs = /thread \d+ \(call\)/) {
  const folder = join(work, `${folders++}`);
  mkdirSync(folder);
  let isOver = false;
  const end = command.run(words, { cwd: work, environment: { TMPDIR: folder } }).finally(() => {
    isOver = true;
  });
  process.kill(await guestProcess(folder, runs, () => isOver), signal);
  const result = await end;
  expect(readdirSync(folder).filter((name) => name.startsWith('hotpatch-isolated'))).toEqual([]);
  return result;
}

const LIBRARY = ['--with', fixture('x64/hpimport.dll')];
const DEMO = fixture('x64/base/demo.dll');
const DEATH = (signal: string) =>
  new RegExp(
    `the process that runs guest code was ended by ${signal} while it ran (guest code; that run began|no guest code; the last run had begun) in demo.dll, at demo!\\w+.* \\([0-9a-f]{8}\`[0-9a-f]{8}\\), thread \\d+ \\(call\\)`,
  );

const scenario = (name: string, body: string) => {
  const file = join(work, `${name}.mjs`);
  const text = `
    import { defineScenario, Lab } from 'hotpatch-lab';
    export default defineScenario('${name}', async ({ expect }) => {
      const lab = Lab.boot({ architecture: 'x64' });
      lab.addFile(${JSON.stringify(fixture('x64/hpimport.dll'))});
      const demo = lab.loadImage(${JSON.stringify(DEMO)});
      ${body}
    });`;
  writeFileSync(file, text);
  return file;
};

describe.runIf(isFound)('--isolate: the process that runs guest code dies', () => {
  it.each(['SIGSEGV', 'SIGKILL', 'SIGBUS'] as const)('call, by %s', async (signal) => {
    const words = ['call', DEMO, 'hp_entry', '0', '3', '4', ...LIBRARY, '--repeat', '1000000', '--isolate'];
    const { code, stdout, stderr } = await killed(words, signal);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(DEATH(signal));
  });

  it('call --json: one document', async () => {
    const words = ['call', DEMO, 'hp_entry', '0', '3', '4', ...LIBRARY, '--repeat', '1000000', '--isolate'];
    const { code, stdout } = await killed([...words, '--json'], 'SIGSEGV');
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toEqual({
      error: { message: expect.stringMatching(DEATH('SIGSEGV')), rule: 'process.ended' },
      exitCode: 1,
    });
  });

  it.each([[[]], [['--workers', '2']]])('explore %j', async (more) => {
    const words = ['explore', '--image', DEMO, '--patch', fixture('x64/patch/demo_hp.dll'), ...LIBRARY];
    const { code, stderr } = await killed(
      [...words, '--call', 'hp_entry 0 3 4', '--cpus', '3', '--isolate', ...more],
      'SIGSEGV',
      /in demo|demo_hp/,
    );
    expect(code).toBe(1);
    expect(stderr).toMatch(/was ended by SIGSEGV while it ran .* in demo(_hp)?\.(dll|sys), at /);
  });

  it('run: a process that aborts itself, as the runtime does that has no memory left', async () => {
    const { code, stderr } = await command.run(['run', '--isolate', scenario('aborts', 'process.abort();')]);
    expect([code, stderr]).toEqual([1, expect.stringContaining('was ended by SIGABRT')]);
    expect(stderr).toContain('the last run had begun in demo.dll');
  });

  it('run: that scenario has failed, those before and behind it are run', async () => {
    const first = scenario('first', "expect(lab.call(demo.symbol('leaf_opaque'))).toBe(42);");
    const dying = scenario('dying', "for (;;) lab.call(demo.symbol('leaf_opaque'));");
    const last = scenario('last', "expect(lab.call(demo.symbol('leaf_opaque'))).toBe(42);");
    // Of the first, too, guest code is run by a process; it ends by itself.
    const junit = join(work, 'results.xml');
    const words = ['run', '--isolate', '--junit', junit, dying, first, last];
    const { code, stdout, stderr } = await killed(words, 'SIGSEGV');
    expect(code).toBe(1);
    expect(stderr).toContain('dying.mjs: ');
    expect(stderr).toMatch(DEATH('SIGSEGV'));
    expect(stdout.match(/held {2}1 expectation/g)).toHaveLength(2);
    const xml = readFileSync(junit, 'utf8');
    expect(xml).toContain('tests="3"');
    expect(xml).toContain('SIGSEGV');
  });
});

describe('--isolate: nothing dies', () => {
  it.each([
    ['call', [DEMO, 'hp_entry', '0', '3', '4', ...LIBRARY]],
    ['call', [DEMO, 'hp_entry', '0', '3', '4', ...LIBRARY, '--json']],
    ['call', [DEMO, 'nothing', ...LIBRARY]],
    ['call', [DEMO, 'hp_entry', '--no-such-option']],
  ])('%s %j: output and exit code are the same', async (name, words) => {
    const alone = await command.run([name, ...words]);
    const isolated = await command.run([name, ...words, '--isolate']);
    expect(isolated).toEqual(alone);
  });

  it('run: the same transcript, the same results', async () => {
    const files = [
      scenario('holds', "expect(lab.call(demo.symbol('leaf_opaque'))).toBe(42);"),
      scenario('fails', "expect(lab.call(demo.symbol('leaf_opaque'))).toBe(1);"),
      join(work, 'absent.mjs'),
    ];
    const alone = await command.run(['run', ...files]);
    const isolated = await command.run(['run', '--isolate', ...files]);
    expect([isolated.code, isolated.stdout]).toEqual([alone.code, alone.stdout]);
    const document = async (...words: string[]) => {
      const { stdout } = await command.run(['run', '--json', ...words, ...files]);
      const { scenarios } = JSON.parse(stdout) as { scenarios: { seconds: number }[] };
      return scenarios.map(({ seconds: _seconds, ...rest }) => rest);
    };
    expect(await document('--isolate')).toEqual(await document());
  });

  it('a schedule is not run elsewhere: that is said', async () => {
    const { code, stderr } = await command.run(['run', '--isolate', '--schedule', 'x.json', 'a.mjs']);
    expect([code, stderr]).toEqual([2, expect.stringContaining('--isolate')]);
  });
});
