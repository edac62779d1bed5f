import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const architectures = ['x64', 'arm64', 'x86'] as const;
export type Architecture = (typeof architectures)[number];

export const targets: Record<Architecture, string> = {
  x64: 'x86_64-pc-windows-msvc',
  arm64: 'aarch64-pc-windows-msvc',
  x86: 'i686-pc-windows-msvc',
};

const repository = fileURLToPath(new URL('../../..', import.meta.url));

/** Whether every tool answers; says so on stderr when one does not, because the tests that need it are skipped. */
export function haveTools(...tools: string[]): boolean {
  const missing = tools.filter(
    (tool) => spawnSync(tool, ['--version'], { stdio: 'ignore' }).error !== undefined,
  );
  if (missing.length > 0) console.warn(`SKIPPED: symbol tests that need ${missing.join(', ')}`);
  return missing.length === 0;
}

export const haveCompiler = haveTools('clang-22', 'lld-link-22');

/** Two objects that both have a static `same`, a switch, static locals, C++ names and functions for a hotpatch. */
const sources = {
  'first.c': `
    int shared[4]; static int same = 1; static const int table[3] = {1, 2, 3};
    static __attribute__((noinline)) int helper(int a) { return a * same; }
    __attribute__((noinline)) int choose(int a) {
      switch (a) { case 0: return helper(3); case 1: return shared[a]; case 2: return 77; case 3: return a * 19;
                   case 4: return table[a & 1]; case 5: return helper(a) - 4; default: return -1; } }
    int __stdcall convention(int a, int b) { return choose(a) + b; }
    int second(int);
    __declspec(dllexport) int entry(int a) { same++; return choose(a) + second(a) + convention(a, 1); }
    int __stdcall _DllMainCRTStartup(void *m, unsigned r, void *p) { return 1; }`,
  'second.c': `
    static int same = 2; __declspec(thread) int local = 3; int _tls_index; int _fltused;
    static __attribute__((noinline)) int helper(int a) { return a + same; }
    int second(int a) { static int calls; calls += a; return helper(a) + calls; }`,
  'names.cpp': `
    namespace space { struct Thing { virtual int f(int); int g(); static int member; };
      int Thing::member = 4; int Thing::f(int a) { return a + member; } int Thing::g() { return f(2) + 3; }
      template <class T> __attribute__((noinline)) T twice(T a) { return a + a; } template int twice<int>(int); }
    namespace { int hidden = 8; } int *use() { return &hidden; } extern "C" int _purecall() { return 0; }
    void operator delete(void *, unsigned long long) {} void *type_info = (void *)1;`,
} as const;

export interface Build {
  readonly folder: string;
  readonly objects: readonly string[];
  readonly image: string;
  readonly pdb: string;
  readonly map: string;
}

const compile = [
  '-O1',
  '-ffreestanding',
  '-fno-stack-protector',
  '-fms-extensions',
  '-fno-rtti',
  '-fno-exceptions',
];
const debug = ['-g', '-gcodeview', '-fms-hotpatch', '-ffunction-sections', '-fdata-sections'];

const builds = new Map<string, Build>();

/** The sources above, compiled and linked for one machine in a temporary folder; once for the same options. */
export function build(architecture: Architecture, linkerOptions: readonly string[] = []): Build {
  const key = [architecture, ...linkerOptions].join(' ');
  const known = builds.get(key) ?? compileAndLink(architecture, linkerOptions);
  builds.set(key, known);
  return known;
}

function compileAndLink(architecture: Architecture, linkerOptions: readonly string[]): Build {
  const folder = temporaryFolder(architecture);
  const run = (tool: string, ...options: string[]) =>
    execFileSync(tool, options, { cwd: folder, stdio: 'pipe' });
  const objects = Object.entries(sources).map(([file, text]) => {
    writeFileSync(join(folder, file), text);
    const object = file.replace(/\..*$/, '.obj');
    const hot =
      file === 'names.cpp'
        ? '?g@Thing@space@@QEAAHXZ,?f@Thing@space@@UEAAHH@Z'
        : `choose,entry,${architecture === 'x86' ? '\x01_convention@8' : 'convention'}`;
    const target = `--target=${targets[architecture]}`;
    run(
      'clang-22',
      target,
      ...compile,
      ...debug,
      `-fms-secure-hotpatch-functions-list=${hot}`,
      '-c',
      file,
      '-o',
      object,
    );
    return object;
  });
  const entry = architecture === 'x86' ? '_DllMainCRTStartup@12' : '_DllMainCRTStartup';
  const [image, pdb, map] = ['sample.dll', 'sample.pdb', 'sample.map'];
  run(
    'lld-link-22',
    ...['/nologo', `/machine:${architecture}`, '/dll', '/nodefaultlib', '/debug', '/opt:noicf', '/opt:noref'],
    ...[
      '/force:multiple',
      `/entry:${entry}`,
      `/out:${image}`,
      `/pdb:${pdb}`,
      '/pdbaltpath:sample.pdb',
      `/map:${map}`,
    ],
    ...(architecture === 'arm64' ? [] : ['/functionpadmin:6']),
    ...(architecture === 'x86' ? ['/safeseh:no'] : []),
    ...linkerOptions,
    ...objects,
  );
  const inFolder = (file: string) => join(folder, file);
  return {
    folder,
    objects: objects.map(inFolder),
    image: inFolder(image),
    pdb: inFolder(pdb),
    map: inFolder(map),
  };
}

/** A new folder, removed when all tests have run. */
export function temporaryFolder(name: string): string {
  return mkdtempSync(join(process.env.HOTPATCH_TEST_FOLDER ?? tmpdir(), `symbols-${name}-`));
}

/** MSVC's PDBs and images that come with the npm package node-pty. */
export function nodePty(extension: RegExp): string[] {
  return ['win32-x64', 'win32-arm64'].flatMap((platform) =>
    filesIn(join('node_modules/node-pty/prebuilds', platform), extension),
  );
}

/** Files of `test/fixtures`, relative to the repository. */
export function fixtures(extension: RegExp): string[] {
  return filesIn('test/fixtures', extension);
}

function filesIn(folder: string, extension: RegExp): string[] {
  const path = join(repository, folder);
  if (!existsSync(path)) return [];
  const files = readdirSync(path, { recursive: true, withFileTypes: true });
  return files
    .filter((file) => file.isFile() && extension.test(file.name))
    .map((file) => join(file.parentPath, file.name));
}

/** A path as test names show it. */
export function shown(path: string): string {
  return path.replace(repository, '');
}
