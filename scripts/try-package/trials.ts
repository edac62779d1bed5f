import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { unicornCacheFolder } from '../../cpu/index.js';
import { expectIn, LeftOut, nodeOf, npmInstall, project, root, run, tarball, tool } from './place.js';
import { fromCommonJs, installed, nodeTest, npx, scenarioInJavaScript, starter, UNICORN } from './starter.js';
import { types } from './types.js';

export interface Trial {
  readonly name: string;
  /** Whether it is part of CI. */
  readonly isQuick?: boolean;
  /** Returns what is worth a note; throws Failed and LeftOut. */
  readonly run: () => string | undefined;
}

/** The oldest that `engines` permits, the oldest and the others that vitest 5 does, and the newest. */
const NODES = ['20.9.0', '22.12.0', '24', 'latest'];
const POOLS = ['forks', 'threads', 'vmForks', 'vmThreads'];

/** Whose Unicorn is not there: a cache of the project's own, which is empty. */
function withoutUnicorn(cwd: string): Record<string, string> {
  const cache = join(cwd, 'cache');
  if (process.platform === 'darwin') throw new LeftOut('the cache cannot be put elsewhere');
  for (const library of ['libunicorn.so.2', 'libunicorn.so', 'unicorn.dll'])
    if (isInSystem(library)) throw new LeftOut(`the system has ${library}`);
  return { UNICORN_LIBRARY: '', XDG_CACHE_HOME: cache, LOCALAPPDATA: cache };
}

/** Asked in a process of its own: in one that has loaded the library the loader finds it by its name. */
function isInSystem(library: string): boolean {
  const script = join(root, 'scripts', 'setup', 'fetch-unicorn.js');
  return spawnSync(process.execPath, [script, '--ask', library]).status === 0;
}

/** Nobody listens there. */
const NO_NETWORK = { PIP_INDEX_URL: 'http://127.0.0.1:49150/simple', PIP_RETRIES: '0' };

const MENDED = (command: string) =>
  new RegExp(`^.*Unicorn 2.1 or newer is needed and none was found: "${command} hotpatch doctor --fix"`, 'm');

const TYPES = ['4', '5'].map(
  (vitest): Trial => ({ name: `types, skipLibCheck false, vitest ${vitest}`, run: () => types(vitest) }),
);

export const TRIALS: readonly Trial[] = [
  {
    name: 'npm, with its script',
    run: () => {
      const cwd = project('npm');
      const environment = withoutUnicorn(cwd);
      npmInstall(cwd, [tarball, 'vitest@4'], environment);
      if (!existsSync(unicornCacheFolder(environment) ?? ''))
        throw new LeftOut('Unicorn could not be fetched');
      starter(npx, ['forks'], { cwd, environment: { ...environment, ...NO_NETWORK } });
      run(npx('hotpatch-lab', '--version'), { cwd });
      return 'its script fetches Unicorn';
    },
  },
  {
    name: 'npm and JavaScript',
    isQuick: true,
    run: () => {
      const cwd = project('npm-quick');
      npmInstall(cwd, ['--ignore-scripts', tarball, 'vitest@4']);
      const options = { cwd, environment: UNICORN };
      starter(npx, ['threads'], options);
      run(npx('hotpatch-lab', '--version'), options);
      scenarioInJavaScript(npx, options);
      nodeTest(options);
      fromCommonJs(options);
      return undefined;
    },
  },
  {
    name: 'npm, --ignore-scripts',
    run: () => {
      const cwd = project('npm-without-scripts');
      const environment = withoutUnicorn(cwd);
      npmInstall(cwd, ['--ignore-scripts', tarball, 'vitest@4']);
      run(npx('hotpatch', 'new', 'tests', 'first'), { cwd, environment });
      for (const words of [npx('hotpatch', 'run', 'first/scenario.ts'), npx('hotpatch', 'doctor')])
        expectIn(run(words, { cwd, environment, code: 3 }), /npx hotpatch doctor --fix/);
      expectIn(
        run(npx('hotpatch', 'run', 'first/scenario.ts'), { cwd, environment, code: 3 }),
        MENDED('npx'),
      );
      run(npx('hotpatch', 'doctor', '--fix'), { cwd, environment });
      starter(npx, ['forks'], { cwd, environment });
      return '`npx hotpatch doctor --fix` fetches Unicorn, once';
    },
  },
  {
    name: 'npm, no network, Unicorn in the cache',
    run: () => {
      const cwd = project('npm-cached');
      const environment = { ...withoutUnicorn(cwd), ...NO_NETWORK };
      npmInstall(cwd, ['--ignore-scripts', tarball, 'vitest@4']);
      run(npx('hotpatch', 'doctor', '--fix'), { cwd, environment: withoutUnicorn(cwd) });
      npmInstall(cwd, ['--offline', 'hotpatch-lab'], environment);
      starter(npx, ['forks'], { cwd, environment });
      return undefined;
    },
  },
  {
    name: 'npm, no network, no Unicorn',
    run: () => {
      const cwd = project('npm-offline');
      const environment = { ...withoutUnicorn(cwd), ...NO_NETWORK };
      npmInstall(cwd, [tarball, 'vitest@4'], environment);
      const told = run(npx('hotpatch', 'doctor', '--fix'), { cwd, environment, code: 3 });
      expectIn(told, /without a network:.*UNICORN_LIBRARY=/s);
      starter(npx, ['forks'], { cwd, environment: { ...environment, ...UNICORN } });
      return 'installation succeeds; `UNICORN_LIBRARY` names a library that was brought along, as `doctor` says';
    },
  },
  {
    name: 'pnpm',
    run: () => {
      const cwd = project('pnpm');
      const environment = { ...withoutUnicorn(cwd), pnpm_config_store_dir: join(cwd, 'store') };
      // It is not for Node 20 any more.
      const options = { cwd, environment, node: nodeOf('24') };
      const pnpm = tool('pnpm', 'latest', 'pnpm');
      const exec = (...words: string[]) => [...pnpm, 'exec', ...words];
      run([...pnpm, 'add', '--ignore-scripts', tarball, 'vitest@4'], options);
      run(exec('hotpatch', 'new', 'tests', 'first'), options);
      expectIn(
        run(exec('hotpatch', 'run', 'first/scenario.ts'), { ...options, code: 3 }),
        MENDED('pnpm exec'),
      );
      run(exec('hotpatch', 'doctor', '--fix'), options);
      starter(exec, ['forks'], options);
      return '`pnpm add --ignore-scripts`, then `pnpm exec hotpatch doctor --fix`';
    },
  },
  ...(['node-modules', 'pnp'] as const).map(
    (linker): Trial => ({
      name: `Yarn, nodeLinker: ${linker}`,
      run: () => {
        const cwd = project(`yarn-${linker}`, { resolutions: { vite: ownVersion('vite') } });
        const [words, environment] = yarnIn(cwd, linker);
        const options = { cwd, environment: { ...environment, ...withoutUnicorn(cwd) } };
        run(words('hotpatch', 'new', 'tests', 'first'), options);
        const told = run(words('hotpatch', 'run', 'first/scenario.ts'), { ...options, code: 3 });
        expectIn(told, MENDED('yarn'));
        run(words('hotpatch', 'doctor', '--fix'), options);
        starter(words, ['forks'], options);
        return '`yarn hotpatch doctor --fix`';
      },
    }),
  ),
  ...[undefined, ...NODES].map(
    (version): Trial => ({
      name: `Node ${version ?? process.versions.node}`,
      run: () => {
        const cwd = project(`node-${version ?? 'here'}`);
        npmInstall(cwd, ['--ignore-scripts', tarball]);
        const node = version === undefined ? undefined : nodeOf(version);
        const options = { cwd, node, environment: UNICORN };
        const words = installed(cwd);
        run(words('hotpatch', 'doctor', '--json'), options);
        starter(words, [], options);
        scenarioInJavaScript(words, options);
        nodeTest(options);
        fromCommonJs(options);
        return run(['node', '--version'], options).trim();
      },
    }),
  ),
  ...(
    [
      ['4', undefined],
      ['4', 'latest'],
      ['5', '22.12.0'],
      ['5', '24'],
      ['5', 'latest'],
    ] as const
  ).map(
    ([vitest, version]): Trial => ({
      name: `vitest ${vitest} on Node ${version ?? process.versions.node}`,
      run: () => {
        const cwd = project(`vitest-${vitest}-node-${version ?? 'here'}`);
        npmInstall(cwd, ['--ignore-scripts', tarball, `vitest@${vitest}`]);
        const node = version === undefined ? undefined : nodeOf(version);
        starter(installed(cwd), POOLS, { cwd, node, environment: UNICORN });
        return POOLS.join(', ');
      },
    }),
  ),
  ...TYPES,
  {
    name: 'attw',
    run: () => {
      // Its profile is in .attw.json.
      run([...tool('@arethetypeswrong/cli', 'latest', 'attw'), tarball], { cwd: root });
      return 'profile `esm-only`: the package is of ES modules alone';
    },
  },
  {
    name: 'publint',
    isQuick: true,
    run: () => {
      const told = run([...tool('publint', 'latest', 'publint'), tarball, '--strict'], { cwd: root });
      expectIn(told, /All good!/);
      return undefined;
    },
  },
];

/** Of this repository. */
function ownVersion(name: string): string {
  const [line = ''] = run(['npm', 'ls', name, '--parseable', '--long'], { cwd: root }).split('\n');
  return line.slice(line.lastIndexOf('@') + 1);
}

function yarnIn(cwd: string, nodeLinker: string) {
  writeFileSync(
    join(cwd, '.yarnrc.yml'),
    `nodeLinker: ${nodeLinker}\nenableTelemetry: false\nenableImmutableInstalls: false\n`,
  );
  writeFileSync(join(cwd, 'yarn.lock'), '');
  const yarn = tool('@yarnpkg/cli-dist', 'latest', 'yarn');
  const environment = {
    YARN_NPM_REGISTRY_SERVER: run(['npm', 'config', 'get', 'registry'], { cwd }).trim(),
    YARN_GLOBAL_FOLDER: join(cwd, 'global'),
  };
  run([...yarn, 'add', `hotpatch-lab@file:${tarball}`, 'vitest@4'], { cwd, environment });
  return [(...words: string[]) => [...yarn, 'run', ...words], environment] as const;
}
