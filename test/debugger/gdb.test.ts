import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixture } from '../support.js';

const hasGdb = spawnSync('gdb-multiarch', ['--version']).status === 0;
if (!hasGdb) console.warn('\n*** gdb-multiarch is not installed: the tests with GDB are SKIPPED ***\n');

const root = fileURLToPath(new URL('../../', import.meta.url));
let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hotpatch-gdb-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Three calls of hp_entry; nothing is patched unless GDB does it. */
function scenarioFile(architecture: string): string {
  const file = join(folder, `${architecture}.ts`);
  const images = JSON.stringify(
    ['hpimport.dll', 'base/demo.dll'].map((name) => fixture(`${architecture}/${name}`)),
  );
  writeFileSync(
    file,
    `import { defineScenario, Lab } from 'hotpatch-lab';
    export default defineScenario('demo', async ({ say }) => {
      const lab = await Lab.boot({ architecture: '${architecture}', processors: 2 });
      const [hpimport, base] = ${images};
      await lab.loadImage(hpimport);
      const demo = await lab.loadImage(base);
      for (let call = 1; call <= 3; call++) say('call ' + call + ': ' + lab.call(demo.symbol('hp_entry'), [0, 3, 4]));
    });`,
  );
  return file;
}

interface Server {
  readonly port: number;
  readonly ended: Promise<number | null>;
  readonly process: ChildProcess;
}

/** `hotpatch gdb` from the sources, in a process of its own. */
async function serve(architecture: string): Promise<Server> {
  const start = `import { gdbCommand } from ${JSON.stringify(join(root, 'cli/gdb.ts'))};`;
  const run = `${start} await gdbCommand().parseAsync(['${scenarioFile(architecture)}', '--port', '0'], { from: 'user' });`;
  const process = spawn('node', ['--import', 'tsx', '--input-type=module', '-e', run], { cwd: root });
  const ended = new Promise<number | null>((resolve) => process.on('exit', resolve));
  const port = await new Promise<number>((resolve, reject) => {
    let text = '';
    process.stderr.on('data', (part) => {
      text += String(part);
      const match = /127\.0\.0\.1:(\d+)/.exec(text);
      if (match !== null) resolve(Number(match[1]));
    });
    void ended.then((code) => reject(new Error(`the server ended with ${code}: ${text}`)));
  });
  return { port, ended, process };
}

/** What GDB shows for these commands; each is announced by a line `> command`. */
async function gdb(architecture: string, commands: readonly string[]): Promise<Map<string, string>> {
  const server = await serve(architecture);
  try {
    const script = [
      'set confirm off',
      'set breakpoint pending on',
      'set remotetimeout 60',
      `target remote :${server.port}`,
      // The number tells equal commands apart and is no part of them.
      ...commands,
    ];
    const args = script.flatMap((command, index) => [
      '-ex',
      `echo \\n> ${index} ${command}\\n`,
      '-ex',
      command.replace(/^(backtrace|continue) \d$/, '$1'),
    ]);
    // What `monitor` shows goes to standard error.
    const shell = ['-c', 'exec gdb-multiarch -nx -batch "$@" 2>&1', 'sh', ...args];
    const { stdout } = await promisify(execFile)('sh', shell, { cwd: root });
    expect(stdout).not.toContain('Backtrace stopped');
    expect(await server.ended).toBe(0);
    return new Map(
      stdout.split(/^> \d+ /m).map((part): [string, string] => {
        const end = part.indexOf('\n');
        return [part.slice(0, end), part.slice(end + 1).trim()];
      }),
    );
  } finally {
    server.process.kill();
  }
}

/** `#1 hp_entry` of each frame. */
const frames = (text: string | undefined) =>
  [...(text ?? '').matchAll(/^#(\d+) .* in (\S+) \(\)(?: from target:\/hotpatch-lab\/(\S+))?/gm)].map(
    ([, , name, library]) => `${library ?? '-'}!${name}`,
  );

describe.skipIf(!hasGdb)('GDB', () => {
  it.each(['x64', 'arm64'])(
    'goes back to before the store that a hardware watchpoint is hit by on %s',
    { timeout: 180_000 },
    async (architecture) => {
      const shown = await gdb(architecture, [
        'tbreak hp_entry',
        'continue 0',
        'watch *(int *)&g_counter',
        'continue',
        'stepi 3',
        'reverse-continue',
        'print *(int *)&g_counter',
        'detach',
      ]);
      expect(shown.get('continue')).toMatch(/Old value = 1\nNew value = 5\n/);
      expect(shown.get('reverse-continue')).toMatch(/Old value = 5\nNew value = 1\n/);
      expect(shown.get('print *(int *)&g_counter')).toContain('= 1');
    },
  );

  it.each(['x64', 'arm64'])(
    'breaks, patches, walks the stack and goes back on %s',
    { timeout: 180_000 },
    async (architecture) => {
      const shown = await gdb(architecture, [
        'tbreak hp_entry',
        'continue 0',
        'break *dispatch',
        'continue',
        'backtrace',
        'info threads',
        `monitor hotpatch apply ${fixture(`${architecture}/patch/demo_hp.dll`)}`,
        'stepi',
        'stepi 2',
        'backtrace 3',
        'info sharedlibrary',
        'reverse-stepi',
        'backtrace 4',
        'reverse-continue',
        'backtrace 5',
        'monitor hotpatch list',
        'delete',
        'watch *(int *)&g_counter',
        'continue 1',
        'backtrace 6',
        'delete 3',
        'break new_helper',
        'continue 2',
        'backtrace 7',
        'monitor hotpatch revert',
        'monitor u demo!leaf_opaque L1',
        'detach',
      ]);
      const stack = (...inner: string[]) => [...inner, '-!??'];
      expect(frames(shown.get('backtrace'))).toEqual(stack('demo.dll!dispatch', 'demo.dll!hp_entry'));
      expect(shown.get('info threads')).toMatch(
        /^\* 2 +Thread 20 "call" \(System, on processor 0, IRQL 0, \d+ instructions\) .* in dispatch/m,
      );
      // Over the trampoline: the frame of the patch image stands on one of the base.
      expect(frames(shown.get('backtrace 3'))).toEqual(stack('demo_hp.dll!dispatch', 'demo.dll!hp_entry'));
      expect(shown.get('info sharedlibrary')).toMatch(/^0xfffff80010020000 .* Yes.*demo_hp\.dll$/m);
      expect(frames(shown.get('backtrace 4'))).toEqual(stack('demo.dll!demo_HPAT', 'demo.dll!hp_entry'));
      expect(shown.get('reverse-continue')).toMatch(/hit Breakpoint 2/);
      expect(frames(shown.get('backtrace 5'))).toEqual(stack('demo.dll!dispatch', 'demo.dll!hp_entry'));
      // What was done at the prompt was done again on the way back.
      expect(shown.get('monitor hotpatch list')).toContain(
        'demo_hp.dll  sequence 1  applied  STATUS_SUCCESS',
      );
      expect(shown.get('continue 1')).toMatch(/Old value = 5\nNew value = 9\n/);
      expect(frames(shown.get('backtrace 6'))).toEqual(
        stack('demo_hp.dll!copy_name', 'demo_hp.dll!hp_entry'),
      );
      expect(frames(shown.get('backtrace 7'))).toEqual(
        stack('demo_hp.dll!new_helper', 'demo_hp.dll!hp_entry'),
      );
      expect(shown.get('monitor hotpatch revert')).toContain('demo.dll runs its original code again');
      expect(shown.get('monitor u demo!leaf_opaque L1')).toMatch(/mov +e?w?[a0]x?,/);
      expect(shown.get('detach')).toContain('detached');
    },
  );
});
