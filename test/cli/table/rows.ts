import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hasToolchain } from '../../corpus/toolchain.js';
import { fixture } from '../../support.js';
import type { Input, Output, Row } from './words.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const at = (path: string) => () => new Uint8Array(readFileSync(path));

function file(name: string, contents: Input['contents'] | string, prefix = ''): Input {
  return {
    kind: 'input',
    name,
    prefix,
    contents: typeof contents === 'string' ? () => contents : contents,
    beside: {},
  };
}

/** A test image with the map beside it. */
function image(path: string, name = path.split('/').at(-1) ?? path): Input {
  const map = path.replace(/\.\w+$/, '.map');
  return {
    ...file(name, at(fixture(path))),
    beside: { [name.replace(/\.\w+$/, '.map')]: at(fixture(map)) },
  };
}

/** Without the map: another one is named. */
const alone = (input: Input): Input => ({ ...input, beside: {} });

const map = (path: string, name = path.split('/').at(-1) ?? path) => file(name, at(fixture(path)));
const out = (name: string): Output => ({ kind: 'output', name, isFolder: false, isStem: false });
const outFolder = (name: string): Output => ({ ...out(name), isFolder: true });
const outStem = (name: string): Output => ({ ...out(name), isStem: true });
const folder = (name: string, files: Input['beside']): Input => ({
  ...{ kind: 'input', name, prefix: '', contents: undefined, beside: files },
});

const scenario = (name: string, body: string) =>
  file(
    `${name}.ts`,
    `import { defineScenario, Lab } from 'hotpatch-lab';\nexport default defineScenario('${name}', async ({ expect }) => {\n${body}\n});\n`,
  );
const images = JSON.stringify(join(root, 'test/fixtures/x64/'));
const PATCHED = `const lab = Lab.boot({ architecture: 'x64' });
const driver = lab.loadDriver(${images} + 'base/packets.sys');
const packet = lab.allocate(Uint8Array.of(1, 1, 10));
lab.call(driver.symbol('HandleRequest'), [packet, 3]);
lab.loadHotPatch(${images} + 'patch/packets_hp.sys');
expect(lab.call(driver.symbol('HandleRequest'), [packet, 3])).toBe(10);`;

const good = scenario('good', PATCHED);
const failing = scenario('failing', 'expect(1).toBe(2);');
const crashing = scenario(
  'crashing',
  `const lab = Lab.boot({ architecture: 'x64' });
const driver = lab.loadDriver(${images} + 'base/packets.sys');
lab.call(driver.symbol('HandleRequest'), [0n, 3]);`,
);
const endless = scenario('endless', "process.stderr.write('begun\\n');\nfor (;;);");
const text = file('text.dll', 'hello '.repeat(100));

const demo = image('x64/base/demo.dll');
const imports = image('x64/hpimport.dll');
const demoPatch = image('x64/patch/demo_hp.dll');
const packets = image('x64/base/packets.sys');
const packetsPatch = image('x64/patch/packets_hp.sys');
const shell = image('2003/x64/base/shell.dll');

const SHORT = { because: 'it is done before anybody could interrupt it' } as const;
const NO_CODE = { because: 'it runs nothing, and what it cannot read is a refusal' } as const;

/** Where a scenario runs, and what becomes of it is the command's answer. */
function ofScenario(...words: readonly (string | Output)[]): Pick<Row, 'refuses' | 'crashes' | 'endless'> {
  return {
    refuses: { words: [failing, ...words], code: 1 },
    crashes: { words: [crashing, ...words], code: 1 },
    endless: [endless, ...words],
  };
}

/** Every command; a test demands that none is missing. */
export const ROWS: Readonly<Record<string, Row>> = {
  run: {
    ...ofScenario('--junit', out('r.xml')),
    succeeds: [
      [good, '--junit', out('r.xml')],
      [
        good,
        '--schedule',
        file('s.json', JSON.stringify({ processors: 1, actions: [] })),
        '--junit',
        out('r.xml'),
      ],
    ],
    printsLines: [good],
  },
  call: {
    succeeds: [
      [
        ...[alone(demo), 'hp_entry', '0', '3', '4', '--with', imports, '--patch', demoPatch],
        ...['--symbols', map('x64/base/demo.map', 'other.map')],
      ],
      [demo, 'hash_bytes', file('bytes.bin', 'abc', '@'), '3'],
      [
        ...[image('x64/base/notes.sys'), '--ioctl', '0x222000'],
        ...['--in', file('note.bin', () => Uint8Array.of(3, 0, 0, 0, 65, 66, 67), '@')],
      ],
    ],
    refuses: { words: [demo, 'fib', '5', '--patch', packetsPatch], code: 1, has: 'status' },
    crashes: { words: [demo, 'read_imp_counter'], code: 1 },
    endless: { because: 'its calls are bounded, and none of the images has one that takes long' },
    printsLines: [demo, 'fib', '5', '--repeat', '3'],
  },
  inspect: {
    succeeds: [[demo, '--symbols', map('x64/base/demo.map', 'other.map')]],
    refuses: { words: [text], code: 2 },
    crashes: NO_CODE,
    endless: SHORT,
    printsLines: [demo],
  },
  check: {
    succeeds: [
      [alone(demo), '--symbols', map('x64/base/demo.map', 'other.map'), '--sarif', out('c.sarif')],
      [demo, '--sarif', out('c.sarif')],
    ],
    refuses: { words: [text], code: 2 },
    crashes: NO_CODE,
    endless: SHORT,
    printsLines: [demo, '--all'],
  },
  build: {
    succeeds: [
      [
        ...['--base', alone(demo), '--out', out('p.dll')],
        ...['--fixed', alone(image('x64/fixed/demo.dll', 'fixed.dll'))],
        ...['--base-symbols', map('x64/base/demo.map', 'b.map')],
        ...['--fixed-symbols', map('x64/fixed/demo.map', 'f.map')],
        ...['--previous', demoPatch],
      ],
      [
        ...['--generation', '2003', '--base', shell, '--out', out('p.dll')],
        ...['--fixed', image('2003/x64/fixed1/shell.dll', 'fixed.dll'), '--coldpatch', out('cold.dll')],
      ],
    ],
    // Its caller of the base has not set the parameter that the fixed function reads.
    refuses: {
      words: [
        ...['--base', image('x86/base/packets.sys'), '--out', out('p.sys')],
        ...['--fixed', image('x86/fixed/packets.sys', 'fixed.sys')],
      ],
      code: 1,
      has: 'findings',
    },
    crashes: NO_CODE,
    endless: SHORT,
    printsLines: [
      '--base',
      packets,
      '--fixed',
      image('x64/fixed/packets.sys', 'f.sys'),
      '--out',
      out('p.sys'),
    ],
    untried: { '--object': 'object files are made by a compiler: see object.test.ts' },
  },
  new: {
    succeeds: [
      ['dll', 'counter'],
      ['driver', 'counter2'],
      ['tests', 'checks'],
    ],
    refuses: { words: ['dll', '9'], code: 2 },
    crashes: NO_CODE,
    endless: SHORT,
    printsLines: ['dll', 'lines'],
  },
  make: {
    succeeds: [
      [
        file('c.c', 'int f(int a) { return a + 1; }\n'),
        ...['--patch', file('fix.patch', patchOf('c.c', 'int f(int a) { return a + 1; }', '2'))],
        ...['--out', outFolder('made'), '--exports', 'f'],
      ],
      [
        ...['--source', folder('tree', { 'c.c': () => 'int f(int a) { return a + 1; }\n' })],
        '--compile-commands',
        file('commands.json', JSON.stringify([{ directory: 'tree', file: 'c.c', command: 'cc -c c.c' }])),
        ...['--patch', file('fix.patch', patchOf('c.c', 'int f(int a) { return a + 1; }', '2'))],
        ...['--harness', file('harness.c', 'int f(int); int g(void) { return f(1); }\n')],
        ...['--out', outFolder('made'), '--cache', outFolder('cache'), '--exports', 'f,g'],
      ],
    ],
    refuses: {
      words: [
        file('c.c', 'int f(int a) { return a + 1; }\n'),
        ...['--patch', file('fix.patch', patchOf('other.c', 'int g;', '2')), '--out', outFolder('made')],
      ],
      code: 1,
    },
    crashes: NO_CODE,
    endless: { because: 'it waits for compilers: see test/builder/make' },
    printsLines: { because: 'it takes seconds, and prints as build does' },
    untried: {
      '--sysroot': 'a Windows SDK, of which there is none here',
    },
    needs: hasToolchain,
  },
  verify: {
    succeeds: [
      [
        ...[alone(demoPatch), '--base', alone(demo), '--base-symbols', map('x64/base/demo.map', 'b.map')],
        ...['--patch-symbols', map('x64/patch/demo_hp.map', 'p.map'), '--sarif', out('v.sarif')],
      ],
      [
        ...[demoPatch, '--base', demo, '--fixed', image('x64/fixed/demo.dll', 'fixed.dll')],
        ...['--calls', file('calls', 'leaf_opaque\n'), '--with', imports],
      ],
      [packetsPatch, '--base', packets, '--sarif', out('v.sarif')],
    ],
    refuses: { words: [packetsPatch, '--base', demo], code: 1 },
    crashes: NO_CODE,
    endless: SHORT,
    printsLines: [packetsPatch, '--base', packets],
  },
  explore: {
    succeeds: [
      [good, '--operation', '1'],
      [
        ...['--image', demo, '--with', imports, '--patch', demoPatch, '--call', 'fib 1'],
        ...['--symbols', map('x64/base/demo.map', 'other.map')],
      ],
    ],
    ...ofScenario(),
    printsLines: [good, '--operation', '1'],
    untried: { '--checkpoint': 'a search that succeeds leaves none: see test/proof/explore-command.test.ts' },
  },
  step: {
    succeeds: [
      [good, '--command', 'k; q'],
      [good, '--schedule', file('s.json', JSON.stringify({ processors: 1, actions: [] })), '--command', 'q'],
    ],
    ...ofScenario('--command', 'g'),
    printsLines: [good, '--command', 'k; r; u; q'],
  },
  gdb: {
    succeeds: [],
    refuses: { words: [file('none.ts', 'export default 1;\n'), '--port', '0'], code: 2 },
    crashes: { because: 'the scenario runs when GDB says so' },
    endless: [good, '--port', '0'],
    printsLines: { because: 'it prints nothing but where it listens' },
  },
  dap: {
    succeeds: [],
    refuses: { words: [], code: 2 },
    crashes: { because: 'its clients are told: see dap.test.ts' },
    endless: ['--port', '0'],
    printsLines: { because: 'it prints nothing but where it listens' },
  },
  workbench: {
    succeeds: [],
    refuses: { words: ['no-such-folder', '--port', '0'], code: 2 },
    crashes: { because: 'its page is told' },
    endless: { because: 'a signal is how it is ended: see test/workbench' },
    printsLines: { because: 'it prints nothing but where it listens' },
  },
  record: {
    succeeds: [[good, '--out', out('p.html')]],
    ...ofScenario('--out', out('p.html')),
    printsLines: [good, '--out', out('p.html')],
  },
  trace: {
    succeeds: [[good, '--drcov', out('t.drcov'), '--events', out('t.jsonl'), '--tenet', outStem('t')]],
    ...ofScenario('--events', out('t.jsonl')),
    printsLines: { because: 'it prints nothing but its JSON document' },
  },
  dump: {
    succeeds: [[good, '--out', out('d.dmp')]],
    ...ofScenario('--out', out('d.dmp')),
    refuses: { words: [good, '--at', 'never', '--out', out('d.dmp')], code: 2 },
    printsLines: [good, '--out', out('d.dmp')],
  },
  scan: {
    succeeds: [[demo, '--symbols', map('x64/base/demo.map', 'other.map')]],
    refuses: { words: [text], code: 2 },
    crashes: NO_CODE,
    endless: SHORT,
    printsLines: [demo],
  },
  exports: {
    succeeds: [['ntdll.dll'], []],
    refuses: { words: ['no-such.dll'], code: 2 },
    crashes: NO_CODE,
    endless: SHORT,
    printsLines: ['ntdll.dll'],
  },
  doctor: {
    succeeds: [[]],
    refuses: { words: ['no-such-word'], code: 2 },
    crashes: NO_CODE,
    endless: SHORT,
    printsLines: [],
  },
  campaign: {
    succeeds: [],
    refuses: { words: ['run', file('plan.json', '{}')], code: 2 },
    crashes: { because: 'what its units come to are results: see test/campaign' },
    endless: { because: 'it goes on where it was: see test/campaign' },
    printsLines: { because: 'it needs SQLite, which Node 20 does not have' },
    untried: Object.fromEntries(
      ['--results', '--files', '--out', '--junit', '--sarif'].map((option) => [option, 'see test/campaign']),
    ),
  },
  completion: {
    succeeds: [['bash'], ['zsh'], ['fish']],
    refuses: { words: ['csh'], code: 2 },
    crashes: NO_CODE,
    endless: SHORT,
    printsLines: ['bash'],
  },
};

function patchOf(name: string, line: string, number: string): string {
  return `--- a/${name}\n+++ b/${name}\n@@ -1 +1 @@\n-${line}\n+${line.replace('1', number)}\n`;
}
