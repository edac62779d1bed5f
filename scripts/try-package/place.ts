import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));
/** All that is written. */
export const work = join(root, 'out', 'try-package');
export const tarball = join(work, 'hotpatch-lab.tgz');
const tools = join(work, 'tools');

const SECONDS = 300;

/** What did not do as it should; the message is for people. */
export class Failed extends Error {}

/** What cannot be tried on this machine. */
export class LeftOut extends Error {}

/** Of the npm that runs this script: they would tell others that they are called by it. */
const OF_NPM =
  /^(npm_(package|lifecycle|command|execpath|node_execpath|config_local_prefix|config_user_agent)|INIT_CWD)/;

export interface RunOptions {
  readonly cwd: string;
  /** The first in PATH. Default: the one that runs this script. */
  readonly node?: string | undefined;
  readonly environment?: Readonly<Record<string, string>>;
  /** Exit code that is right. Default: 0. */
  readonly code?: number;
}

/** Runs a command; returns what it prints on both streams. */
export function run(words: readonly string[], { cwd, node, environment = {}, code = 0 }: RunOptions): string {
  const [command = '', ...rest] = words;
  const own = Object.entries(process.env).filter(([name]) => !OF_NPM.test(name));
  const { status, signal, stdout, stderr, error } = spawnSync(command, rest, {
    cwd,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    timeout: SECONDS * 1000,
    env: {
      ...Object.fromEntries(own),
      PATH: [dirname(node ?? process.execPath), process.env.PATH].join(delimiter),
      NO_COLOR: '1',
      CI: '1',
      ...environment,
    },
  });
  if (error === undefined && status === code) return `${stdout}${stderr}`;
  throw new Failed(
    [
      `${words.join(' ')} (in ${cwd}): ${error?.message ?? `${signal ?? status} where ${code} is right`}`,
      stdout?.slice(-3000),
      stderr?.slice(-3000),
    ].join('\n'),
  );
}

/** Fails with what was printed. */
export function expectIn(printed: string, wanted: RegExp): void {
  if (!wanted.test(printed)) throw new Failed(`${wanted} is not in:\n${printed}`);
}

/** An empty project. */
export function project(name: string, manifest: object = {}): string {
  const folder = join(work, 'projects', name);
  rmSync(folder, { recursive: true, force: true });
  return emptyFolder(folder, manifest);
}

function emptyFolder(folder: string, manifest: object = {}): string {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'tried', private: true, ...manifest }));
  return folder;
}

const NPM_INSTALL = ['npm', 'install', '--no-audit', '--no-fund', '--silent', '--prefer-offline'];

export function npmInstall(cwd: string, words: readonly string[], environment = {}): void {
  run([...NPM_INSTALL, ...words], { cwd, environment });
}

/** The folder of a package of a tool, which is kept for the next time. */
function toolPackage(name: string, version: string): string {
  const folder = join(tools, `${name.replace('/', '+')}-${version}`);
  if (!existsSync(join(folder, 'done'))) {
    rmSync(folder, { recursive: true, force: true });
    npmInstall(emptyFolder(folder), [`${name}@${version}`]);
    writeFileSync(join(folder, 'done'), '');
  }
  return join(folder, 'node_modules', name);
}

/** A command of a package of the registry, as words. */
export function tool(name: string, version: string, command: string): string[] {
  const folder = toolPackage(name, version);
  const { bin } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    bin: string | Record<string, string>;
  };
  const file = typeof bin === 'string' ? bin : bin[command];
  if (file === undefined) throw new Failed(`${name} has no command ${command}`);
  // pnpm is a program of the machine's own code.
  return [...(/\.[cm]?js$/.test(file) ? ['node'] : []), join(folder, file)];
}

/** Node of a version or range, as the registry's package has it. */
export const nodeOf = (version: string): string => join(toolPackage('node', version), 'bin', 'node');
