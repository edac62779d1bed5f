import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Architecture, buildImage, hasToolchain } from '../toolchain.js';

/**
 * zlib 1.2.11 as Debian bullseye ships it (zlib licence): the source package carries the fix of CVE-2022-37434 as two
 * patches, so that the base is the package without them. Nothing of it is checked in.
 */
const VERSION = '1:1.2.11.dfsg-2+deb11u2';
const DSC = 'zlib_1.2.11.dfsg-2+deb11u2.dsc';
const SOURCES_LIST = [
  'deb-src http://deb.debian.org/debian bullseye main',
  'deb-src http://security.debian.org/debian-security bullseye-security main',
];
const FIX = [
  'Fix-a-bug-when-getting-a-gzip-header-extra-field-wit.patch',
  'Fix-extra-field-processing-bug-that-dereferences-NUL.patch',
];
/** A fix of another fault, which both builds have. */
const COMMON = ['Fix-a-bug-that-can-crash-deflate-on-some-input-when-.patch'];

const HERE = fileURLToPath(new URL('.', import.meta.url));
const FILES = 'adler32 compress crc32 deflate inffast inflate inftrees trees uncompr zutil'.split(' ');

/** Where fetched sources stay between runs. */
const CACHE = join(tmpdir(), 'hotpatch-corpus-zlib-1.2.11');

/** Both source trees, or why there are none. */
export function fetchSources(): { base: string; fixed: string } | { unavailable: string } {
  if (!hasToolchain()) return { unavailable: 'clang-22, lld-link-22 and llvm-dlltool-22 are not installed' };
  for (const tool of ['apt-get', 'dpkg-source', 'patch'])
    if (spawnSync(tool, ['--version']).error !== undefined) return { unavailable: `there is no ${tool}` };
  const trees = { base: join(CACHE, 'base'), fixed: join(CACHE, 'fixed') };
  if (existsSync(trees.fixed)) return trees;
  rmSync(CACHE, { recursive: true, force: true });
  for (const folder of ['lists/partial', 'cache']) mkdirSync(join(CACHE, folder), { recursive: true });
  writeFileSync(join(CACHE, 'sources.list'), `${SOURCES_LIST.join('\n')}\n`);
  const options = {
    'Dir::Etc::sourcelist': join(CACHE, 'sources.list'),
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::State::lists': join(CACHE, 'lists'),
    'Dir::Cache': join(CACHE, 'cache'),
    'APT::Sandbox::User': 'root',
  };
  const apt = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  const steps: [string, ...string[]][] = [
    ['apt-get', ...apt, 'update'],
    ['apt-get', ...apt, 'source', '--download-only', `zlib=${VERSION}`],
    ['dpkg-source', '--no-check', '-x', '--skip-patches', DSC, 'base'],
    ['dpkg-source', '--no-check', '-x', '--skip-patches', DSC, 'unfinished'],
    ...[...COMMON].map((name): [string, ...string[]] => [
      'patch',
      '-s',
      '-p1',
      '-d',
      'base',
      '-i',
      `debian/patches/${name}`,
    ]),
    ...[...COMMON, ...FIX].map((name): [string, ...string[]] => [
      'patch',
      '-s',
      '-p1',
      '-d',
      'unfinished',
      '-i',
      `debian/patches/${name}`,
    ]),
  ];
  for (const [command, ...args] of steps) {
    const { status, stderr } = spawnSync(command, args, { cwd: CACHE, encoding: 'utf8', timeout: 120_000 });
    if (status !== 0)
      return { unavailable: `${command} ${args.at(-1)}: ${stderr.trim().split('\n').at(-1)}` };
  }
  renameSync(join(CACHE, 'unfinished'), trees.fixed);
  return trees;
}

export interface ZlibBuild {
  readonly architecture: Architecture;
  readonly folder: string;
  readonly tree: string;
  /** For the fixed build: what is on the list of functions for hotpatching. */
  readonly marked?: readonly string[];
  /** zlib's own option: tables are computed at the first use and kept in static variables. */
  readonly buildFixed?: boolean;
}

/** zlib1.dll without C runtime: malloc, calloc and free come from ucrtbase.dll. */
export function buildZlib({ architecture, folder, tree, marked, buildFixed = false }: ZlibBuild): string {
  // Relative paths keep folders out of the image: base and fixed build differ in code only.
  const work = join(folder, 'src');
  cpSync(tree, work, { recursive: true });
  cpSync(join(HERE, 'shim'), join(folder, 'shim'), { recursive: true });
  for (const file of readdirSync(HERE))
    if (/\.(c|def)$/.test(file)) cpSync(join(HERE, file), join(folder, file));
  return buildImage({
    architecture,
    folder,
    image: 'zlib1.dll',
    compilerFlags: ['-std=gnu89', '-fbuiltin', '-w', '-I', 'shim', ...(buildFixed ? ['-DBUILDFIXED'] : [])],
    sources: [
      ...FILES.map((name) => ({
        file: `src/${name}.c`,
        ...(name === 'inflate' && marked !== undefined ? { marked } : {}),
      })),
      { file: 'zrt.c' },
    ],
    imports: ['ucrt.def'],
    linkerFlags: ['/def:zlib1.def'],
  });
}
