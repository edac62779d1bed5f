/**
 * Packs the package and tries it as others get it: installed by several package managers into an empty project, whose
 * starter is run, on several versions of Node and vitest; its types under two kinds of resolution; what attw and publint
 * say. Prints a table, which is in docs/package.md. What is tried is fetched by npm; nothing outside out/try-package is
 * changed.
 *
 *     npx tsx scripts/try-package.ts [--no-build] [PART OF A NAME…]
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findUnicorn } from '../cpu/index.js';

const root = fileURLToPath(new URL('../', import.meta.url));
const work = join(root, 'out', 'try-package');
const tools = join(work, 'tools');
const tarball = join(work, 'hotpatch-lab.tgz');
const [flags, names] = [
  process.argv.slice(2).filter((word) => word.startsWith('--')),
  process.argv.slice(2).filter((word) => !word.startsWith('--')),
];

/** The oldest that `engines` permits, and the newest of each line. */
const NODES = ['20.9.0', '20', '22', '24', '26'] as const;
type Node = (typeof NODES)[number];
const VITEST_OF: Readonly<Record<Node, readonly string[]>> = {
  '20.9.0': [],
  '20': ['4'],
  '22': ['4', '5'],
  '24': ['5'],
  '26': ['4', '5'],
};
const POOLS = ['forks', 'threads', 'vmThreads'];
const STARTER_SECONDS = 300;

class Failed extends Error {}

interface RunOptions {
  readonly cwd: string;
  readonly node?: Node;
  readonly environment?: Readonly<Record<string, string>>;
  /** Exit code that is right. */
  readonly code?: number;
}

/** Runs a command, with `node` and `npx` of the given version; returns what it prints. */
function run(words: readonly string[], { cwd, node = '20', environment = {}, code = 0 }: RunOptions): string {
  const [command = '', ...rest] = words;
  const { status, stdout, stderr } = spawnSync(command, rest, {
    cwd,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    timeout: STARTER_SECONDS * 1000,
    env: {
      ...process.env,
      PATH: [dirname(nodeOf(node)), process.env.PATH].join(delimiter),
      NO_COLOR: '1',
      CI: '1',
      ...environment,
    },
  });
  if (status !== code)
    throw new Failed(
      `${words.join(' ')}: exit code ${status}\n${stdout.slice(-3000)}\n${stderr.slice(-3000)}`,
    );
  return `${stdout}${stderr}`;
}

const nodeOf = (version: Node): string =>
  join(tools, `node-${version}`, 'node_modules', 'node', 'bin', 'node');

function install(folder: string, ...packages: string[]): void {
  if (existsSync(join(folder, 'node_modules'))) return;
  project(folder);
  spawnOrFail(['npm', 'install', '--no-audit', '--no-fund', '--silent', ...packages], folder);
}

function spawnOrFail(words: readonly string[], cwd: string): void {
  const [command = '', ...rest] = words;
  const { status, stderr } = spawnSync(command, rest, { cwd, encoding: 'utf8' });
  if (status !== 0) throw new Failed(`${words.join(' ')}: ${stderr}`);
}

/** An empty project. */
function project(folder: string, manifest: object = {}): string {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'tried', private: true, ...manifest }));
  return folder;
}

function fresh(name: string, manifest?: object): string {
  const folder = join(work, 'projects', name);
  rmSync(folder, { recursive: true, force: true });
  return project(folder, manifest);
}

const NPM = ['npm', 'install', '--no-audit', '--no-fund', '--silent', '--prefer-offline'];
const UNICORN = { UNICORN_LIBRARY: findUnicorn()?.path ?? '' };

/** What the starter is for: written, run as a scenario, and tested. */
function starter(
  cwd: string,
  words: readonly string[],
  { node = '20' as Node, pools = ['forks'], environment = UNICORN } = {},
) {
  const options = { cwd, node, environment };
  run([...words, 'hotpatch', 'new', 'tests', 'starter'], options);
  run([...words, 'hotpatch', 'run', 'starter/scenario.ts'], options);
  for (const pool of pools) run([...words, 'vitest', 'run', '--root', 'starter', '--pool', pool], options);
}

interface Trial {
  readonly name: string;
  /** Returns what is worth a note. */
  readonly run: () => string | undefined;
}

const TRIALS: readonly Trial[] = [
  {
    name: 'npm',
    run: () => {
      const cwd = fresh('npm');
      run([...NPM, tarball, 'vitest@4'], { cwd });
      starter(cwd, ['npx'], { environment: { UNICORN_LIBRARY: '' } });
      run(['npx', 'hotpatch-lab', '--version'], { cwd });
      return undefined;
    },
  },
  {
    name: 'npm, without scripts',
    run: () => {
      const cwd = fresh('npm-without-scripts');
      run([...NPM, '--ignore-scripts', tarball, 'vitest@4'], { cwd });
      const environment = { UNICORN_LIBRARY: '', HOME: join(cwd, 'home') };
      const told = run(['npx', 'hotpatch', 'doctor'], { cwd, environment, code: 3 });
      if (!told.includes('hotpatch doctor --fix'))
        throw new Failed(`doctor does not say what to do: ${told}`);
      run(['npx', 'hotpatch', 'doctor', '--fix'], { cwd, environment });
      starter(cwd, ['npx'], { environment });
      return '`npx hotpatch doctor --fix` fetches Unicorn, once';
    },
  },
  {
    name: 'npm, offline',
    run: () => {
      const cwd = fresh('npm-offline');
      run([...NPM, '--ignore-scripts', tarball, 'vitest@4'], { cwd });
      const environment = {
        ...{ UNICORN_LIBRARY: '', HOME: join(cwd, 'home') },
        ...{ PIP_INDEX_URL: 'http://127.0.0.1:9/simple', PIP_RETRIES: '0' },
      };
      const told = run(['npx', 'hotpatch', 'doctor', '--fix'], { cwd, environment, code: 3 });
      if (!/without a network:.*UNICORN_LIBRARY=/s.test(told)) throw new Failed(told);
      starter(cwd, ['npx'], { environment: { ...environment, ...UNICORN } });
      return '`UNICORN_LIBRARY` names a library that was brought along; `doctor` says how';
    },
  },
  {
    name: 'pnpm',
    run: () => {
      const cwd = fresh('pnpm');
      const pnpm = ['node', join(tools, 'managers', 'node_modules', 'pnpm', 'bin', pnpmFile())];
      run([...pnpm, 'add', '--silent', tarball, 'vitest@4'], { cwd, node: '22' });
      const environment = { UNICORN_LIBRARY: '', HOME: join(cwd, 'home') };
      run([...pnpm, 'exec', 'hotpatch', 'doctor', '--fix'], { cwd, node: '22', environment });
      starter(cwd, [...pnpm, 'exec'], { node: '22', environment });
      return 'it runs no scripts unless they are approved: `pnpm exec hotpatch doctor --fix`';
    },
  },
  {
    name: 'Yarn, node_modules',
    run: () => {
      const cwd = fresh('yarn');
      const yarn = yarnIn(cwd, 'node-modules');
      starter(cwd, [...yarn, 'run']);
      return undefined;
    },
  },
  {
    name: "Yarn, Plug'n'Play",
    run: () => {
      const cwd = fresh('yarn-pnp');
      const yarn = yarnIn(cwd, 'pnp');
      run([...yarn, 'run', 'hotpatch', 'new', 'tests', 'starter'], { cwd, environment: UNICORN });
      run([...yarn, 'run', 'hotpatch', 'run', 'starter/scenario.ts'], { cwd, environment: UNICORN });
      return 'vitest itself wants `nodeLinker: node-modules` for tests';
    },
  },
  ...NODES.flatMap((node): Trial[] => [
    {
      name: `Node ${node}`,
      run: () => {
        const cwd = fresh(`node-${node}`);
        run([...NPM, '--ignore-scripts', tarball], { cwd, node });
        const options = { cwd, node, environment: UNICORN };
        run(['npx', 'hotpatch', 'doctor', '--json'], options);
        run(['npx', 'hotpatch', 'new', 'tests', 'starter'], options);
        run(['npx', 'hotpatch', 'run', 'starter/scenario.ts'], options);
        scenarioInJavaScript(cwd);
        run(['npx', 'hotpatch', 'run', 'scenario.js'], options);
        nodeTest(cwd);
        run(['node', '--test', 'node.test.mjs'], options);
        return run(['node', '--version'], options).trim();
      },
    },
    ...VITEST_OF[node].map((vitest) => ({
      name: `vitest ${vitest} on Node ${node}`,
      run: () => {
        const cwd = fresh(`vitest-${vitest}-node-${node}`);
        run([...NPM, '--ignore-scripts', tarball, `vitest@${vitest}`], { cwd, node });
        starter(cwd, ['npx'], { node, pools: POOLS });
        return POOLS.join(', ');
      },
    })),
  ]),
  ...['node16', 'bundler'].flatMap((resolution) =>
    ['4', '5'].map((vitest) => ({
      name: `types: ${resolution}, skipLibCheck false, vitest ${vitest}`,
      run: () => types(resolution, vitest),
    })),
  ),
  {
    name: 'attw',
    run: () => {
      run(['node', bin('@arethetypeswrong/cli', 'attw'), tarball, '--profile', 'esm-only'], {
        cwd: work,
        node: '22',
      });
      return 'profile `esm-only`: the package is of ES modules alone';
    },
  },
  {
    name: 'publint',
    run: () => {
      run(['node', bin('publint', 'publint'), tarball, '--strict'], { cwd: work, node: '22' });
      return undefined;
    },
  },
];

function pnpmFile(): string {
  const folder = join(tools, 'managers', 'node_modules', 'pnpm', 'bin');
  return readdirSync(folder).find((file) => /^pnpm\.(c|m)js$/.test(file)) ?? 'pnpm.cjs';
}

/** Of a tool's package. */
function bin(name: string, command: string): string {
  const folder = join(tools, 'managers', 'node_modules', name);
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    bin: string | Record<string, string>;
  };
  return join(folder, typeof manifest.bin === 'string' ? manifest.bin : (manifest.bin[command] ?? ''));
}

function yarnIn(cwd: string, nodeLinker: 'node-modules' | 'pnp'): string[] {
  writeFileSync(
    join(cwd, '.yarnrc.yml'),
    `nodeLinker: ${nodeLinker}\nenableTelemetry: false\nenableImmutableInstalls: false\nenableGlobalCache: false\n`,
  );
  writeFileSync(join(cwd, 'yarn.lock'), '');
  const yarn = ['node', bin('@yarnpkg/cli-dist', 'yarn')];
  const registry = run(['npm', 'config', 'get', 'registry'], { cwd }).trim();
  const environment = { YARN_NPM_REGISTRY_SERVER: registry };
  run([...yarn, 'add', `hotpatch-lab@file:${tarball}`, 'vitest@4'], { cwd, environment });
  return yarn;
}

/** ES modules in a file whose package.json does not say so. */
function scenarioInJavaScript(cwd: string): void {
  writeFileSync(
    join(cwd, 'scenario.js'),
    `import { defineScenario, Lab } from 'hotpatch-lab';
export default defineScenario('of JavaScript', async ({ expect }) => {
  const lab = await Lab.boot({ architecture: 'arm64' });
  expect(lab.kernel.architecture.name).toBe('arm64');
});
`,
  );
}

function nodeTest(cwd: string): void {
  writeFileSync(
    join(cwd, 'node.test.mjs'),
    `import { test } from 'node:test';
import { Lab } from 'hotpatch-lab';
import { executesPatch, hasOriginalBytes, returns } from 'hotpatch-lab/assert';
test('a hotpatch', async () => {
  const lab = await Lab.boot({ architecture: 'x64' });
  const driver = await lab.loadDriver('starter/images/packets.sys');
  hasOriginalBytes(driver);
  await lab.loadHotPatch('starter/images/packets_hp.sys');
  const packet = lab.allocate(Uint8Array.of(1, 5, 10, 20, 30, 40, 50));
  const thread = lab.startThread(driver.symbol('HandleRequest'), [packet, 2]);
  executesPatch(thread, 'ReceivePacket');
  returns(thread, 'STATUS_INVALID_PARAMETER');
  lab[Symbol.dispose]();
});
`,
  );
}

/** Every entry point is imported, and every declaration that it leads to is checked. */
function types(moduleResolution: string, vitest: string): undefined {
  const cwd = fresh(`types-${moduleResolution}-${vitest}`, { type: 'module' });
  run([...NPM, '--ignore-scripts', tarball, `vitest@${vitest}`, 'typescript@6'], { cwd });
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    exports: Record<string, unknown>;
  };
  const entries = Object.keys(exports).filter((name) => !name.endsWith('.json'));
  const lines = entries.map(
    (name, i) => `export * as entry${i} from '${name.replace(/^\./, 'hotpatch-lab')}';`,
  );
  writeFileSync(
    join(cwd, 'index.ts'),
    `${lines.join('\n')}\nimport { Lab } from 'hotpatch-lab';\nimport { expect } from 'vitest';\nusing lab = Lab.boot({ architecture: 'x64' });\nexpect(lab.startThread(0n)).toExecutePatch('f');\nexpect(lab.startThread(0n)).toHaveResult('STATUS_SUCCESS');\n`,
  );
  writeFileSync(
    join(cwd, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        ...{ target: 'ES2022', strict: true, skipLibCheck: false, noEmit: true, moduleResolution },
        ...{ lib: ['ES2023', 'ESNext.Disposable', 'DOM'], types: ['node'] },
        module: moduleResolution === 'bundler' ? 'esnext' : 'node16',
      },
      files: ['index.ts'],
    }),
  );
  run(['npx', 'tsc', '-p', '.'], { cwd });
  return undefined;
}

function pack(): void {
  rmSync(tarball, { force: true });
  if (!flags.includes('--no-build')) spawnOrFail(['npm', 'run', '--silent', 'build'], root);
  mkdirSync(work, { recursive: true });
  spawnOrFail(['npm', 'pack', '--ignore-scripts', '--silent', '--pack-destination', work], root);
  const packed = readdirSync(work).find((file) => /^hotpatch-lab-.*\.tgz$/.test(file));
  if (packed === undefined) throw new Failed('npm pack has written nothing');
  renameSync(join(work, packed), tarball);
}

pack();
for (const node of NODES) install(join(tools, `node-${node}`), `node@${node}`);
install(join(tools, 'managers'), ...['pnpm', '@yarnpkg/cli-dist', '@arethetypeswrong/cli', 'publint']);
console.log('| tried | |\n|---|---|');
for (const { name, run: attempt } of TRIALS) {
  if (names.length > 0 && !names.some((part) => name.includes(part))) continue;
  try {
    const remark = attempt();
    console.log(`| ${name} | works${remark === undefined ? '' : `; ${remark}`} |`);
  } catch (error) {
    if (!(error instanceof Failed)) throw error;
    console.log(`| ${name} | **fails** |`);
    console.error(error.message);
    process.exitCode = 1;
  }
}
