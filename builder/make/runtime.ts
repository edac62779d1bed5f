import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { architectureNamed, packageRoot } from '../../cpu/index.js';
import type { ImageArchitecture } from '../../image/index.js';
import { calleePops, type SimulatedModule, simulatedModules } from '../../loader/index.js';
import { MakeError, shortened } from './error.js';
import { inParallel, run } from './process.js';
import { HOTPATCH_FLAGS, TARGETS, type Toolchain, targetFlags } from './toolchain.js';
import { hashFile, hashText } from './tree.js';

/** Sources of what a compiler expects to find: docs/make.md lists them. */
export function runtimeFolder(): string {
  return join(packageRoot(), 'builder', 'make', 'runtime');
}

/** Objects that are linked whole; the others are members of an archive, taken when they are needed. */
const ALWAYS = ['guard.c', 'load-config.S'];

/** Made where libc++'s headers are: what they leave to its library. */
const CXX_LIBRARY = 'cxx-library.cc';

export const RUNTIME_OBJECTS: readonly string[] = ALWAYS.map(objectName);
export const RUNTIME_LIBRARY = 'hotpatch-runtime.lib';

function objectName(source: string): string {
  return source.replace(/\.\w+$/, '.obj');
}

/** What stands between parts of a source of which each becomes a member of the archive of its own. */
const MEMBER = '/* -- member -- */\n';

interface RuntimeMember {
  readonly source: string;
  /** What is compiled. */
  readonly path: string;
  readonly object: string;
}

/**
 * The members that a source becomes. A program that brings one function of its own takes the others all the same, so
 * functions that programs bring stand alone; what comes before the first of them belongs to each.
 */
function membersOf(source: string, folder: string): RuntimeMember[] {
  const path = join(runtimeFolder(), source);
  const [head = '', ...parts] = readFileSync(path, 'utf8').split(MEMBER);
  if (parts.length === 0) return [{ source, path, object: objectName(source) }];
  let line = head.split('\n').length;
  return parts.map((part, index) => {
    const name = source.replace('.', `-${index}.`);
    writeFileSync(join(folder, name), `#line 1 "${source}"\n${head}#line ${line + 1} "${source}"\n${part}`);
    line += part.split('\n').length;
    return { source, path: join(folder, name), object: objectName(name) };
  });
}

/**
 * Makes the runtime and the import libraries of one architecture in the cache, unless they are there.
 * @returns the folder that holds them
 */
export async function prepareLibraries(
  cache: string,
  architecture: ImageArchitecture,
  toolchain: Toolchain,
  isDriver: boolean,
): Promise<string> {
  const sources = readdirSync(runtimeFolder())
    .filter((source) => source !== CXX_LIBRARY || toolchain.cxxHeaders !== undefined)
    .sort();
  const modules = modulesFor(architecture, isDriver);
  const definitions = modules.map((module) => definitionOf(module, architecture));
  const key = hashText(
    architecture,
    toolchain.version,
    toolchain.headers ?? '',
    toolchain.cxxHeaders ?? '',
    toolchain.sysroot ?? '',
    ...sources.map((source) => hashFile(join(runtimeFolder(), source))),
    ...definitions,
  ).slice(0, 16);
  const folder = join(cache, 'libraries', `${architecture}-${key}`);
  if (existsSync(folder)) return folder;
  const temporary = `${folder}.${process.pid}`;
  mkdirSync(temporary, { recursive: true });
  const tool = async (command: string, args: readonly string[]) => {
    const { status, stderr, stdout } = await run(command, args, { cwd: temporary });
    if (status !== 0)
      throw new MakeError({
        rule: 'compile',
        message: `the runtime cannot be built: ${command} ended with ${status}`,
        output: shortened(stderr + stdout),
      });
  };
  const { tools } = toolchain;
  const members = sources.flatMap((source) => membersOf(source, temporary));
  const compile = ({ source, path, object }: RuntimeMember) =>
    tool(tools.clang, [
      ...targetFlags(architecture, toolchain),
      ...(source.endsWith('.S') ? ['-mno-incremental-linker-compatible'] : [...HOTPATCH_FLAGS, '-O2', '-w']),
      ...(source.endsWith('.S')
        ? []
        : [`-ffile-prefix-map=${runtimeFolder()}=runtime`, `-ffile-prefix-map=${temporary}=runtime`]),
      ...(source.endsWith('.S') || source === CXX_LIBRARY ? [] : ['-ffreestanding', '-fno-builtin']),
      ...(source.endsWith('.cc')
        ? ['-std=c++17', '-fno-exceptions', '-fsized-deallocation', '-faligned-allocation']
        : []),
      '-c',
      path,
      '-o',
      object,
    ]);
  // Another version of libc++ may leave other things to its library: programs in C need none of them.
  await inParallel(members, (member) =>
    member.source === CXX_LIBRARY ? compile(member).catch(() => undefined) : compile(member),
  );
  await tool(tools.ar, [
    'rcsD',
    RUNTIME_LIBRARY,
    ...members
      .filter(({ source, object }) => !ALWAYS.includes(source) && existsSync(join(temporary, object)))
      .map(({ object }) => object),
  ]);
  for (const [index, module] of modules.entries())
    await importLibrary(temporary, architecture, toolchain, module.name, definitions[index] ?? '');
  rmSync(folder, { recursive: true, force: true });
  renameSync(temporary, folder);
  return folder;
}

/** Makes `NAME.lib` of a module definition in `folder`. */
export async function importLibrary(
  folder: string,
  architecture: ImageArchitecture,
  toolchain: Toolchain,
  dll: string,
  definition: string,
  stem = dll.replace(/\.\w+$/, ''),
): Promise<string> {
  writeFileSync(join(folder, `${stem}.def`), definition);
  const library = `${stem}.lib`;
  const { status, stderr } = await run(
    toolchain.tools.dlltool,
    [
      '-m',
      TARGETS[architecture].dlltoolMachine,
      ...DECORATION[architecture].dlltool,
      '-d',
      `${stem}.def`,
      '-l',
      library,
    ],
    { cwd: folder },
  );
  if (status !== 0)
    throw new MakeError({
      rule: 'link',
      message: `no import library of ${dll} can be made`,
      output: shortened(stderr),
    });
  return library;
}

/** How names of stdcall functions are written: `_name@8` in objects of x86, which llvm-dlltool -k leaves to the DLL's plain name. */
const DECORATION: Readonly<
  Record<ImageArchitecture, { readonly stdcall: boolean; readonly dlltool: readonly string[] }>
> = {
  x64: { stdcall: false, dlltool: [] },
  x86: { stdcall: true, dlltool: ['-k'] },
  arm64: { stdcall: false, dlltool: [] },
};

/** kernelbase.dll is what kernel32.dll leads to: programs name the latter. */
function modulesFor(architecture: ImageArchitecture, isDriver: boolean): SimulatedModule[] {
  const order = ['ucrtbase.dll', 'kernel32.dll', 'ntdll.dll'];
  const rank = (name: string) => (order.indexOf(name) + order.length + 1) % (order.length + 1);
  return simulatedModules({ kind: isDriver ? 'kernel' : 'user', architecture })
    .filter(({ name }) => name !== 'kernelbase.dll' && name !== 'msvcrt.dll')
    .sort((a, b) => rank(a.name) - rank(b.name));
}

/** Import libraries of the simulated modules, in the order in which they shall be searched. */
export function importLibraries(architecture: ImageArchitecture, isDriver: boolean): string[] {
  return modulesFor(architecture, isDriver).map(({ name }) => `${name.replace(/\.\w+$/, '')}.lib`);
}

/** Names of POSIX that mingw-w64's import libraries lead to the underscored exports. */
const POSIX_NAMES: readonly string[] =
  'access chdir chmod chsize close cprintf creat dup dup2 ecvt eof execv fcvt fdopen filelength fileno gcvt getch getcwd getpid getw isatty itoa j0 j1 jn kbhit lfind lsearch lseek ltoa memccpy memicmp mkdir mktemp open putch putenv putw read rmdir setmode sopen spawnl strdup stricmp strlwr strnicmp strnset strrev strset strupr swab tempnam tzset ultoa umask unlink utime wcsdup wcsicmp wcslwr wcsnicmp wcsnset wcsrev wcsset wcsupr write y0 y1 yn'.split(
    ' ',
  );

function definitionOf(module: SimulatedModule, architecture: ImageArchitecture): string {
  const names = module.exports.map((entry) => {
    const pops = calleePops(entry, architectureNamed(architecture));
    const isDecorated = DECORATION[architecture].stdcall && entry.convention === 'stdcall';
    return isDecorated ? `${entry.name}@${pops}` : entry.name;
  });
  const known = new Set(module.exports.map(({ name }) => name));
  const aliases =
    module.name === 'ucrtbase.dll'
      ? POSIX_NAMES.filter((name) => known.has(`_${name}`) && !known.has(name)).map(
          (name) => `${name} == _${name}`,
        )
      : [];

  return `${[`LIBRARY "${module.name}"`, 'EXPORTS', ...names, ...aliases].join('\n')}\n`;
}
