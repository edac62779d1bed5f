import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { ImageArchitecture } from '../../image/index.js';
import { type CompilerRequest, parseCompilerArguments, parseLinkerArguments } from './arguments.js';
import { cacheFolder } from './cache.js';
import { compile, compilerArguments, compilerEnvironment, inTree } from './compile.js';
import { MakeError } from './error.js';
import { exportsOf } from './exports.js';
import { link, type NamedObject } from './link.js';
import { prepareLibraries } from './runtime.js';
import { addRecord, readSession, type Session } from './session.js';
import { findToolchain } from './toolchain.js';

/** Which wrapper was called. */
export type WrapperName = 'hotpatch-cc' | 'hotpatch-c++' | 'hotpatch-link';

const ARCHITECTURES: readonly ImageArchitecture[] = ['x64', 'arm64', 'x86'];

/** Does what a compiler or linker would; returns the exit code. */
export async function wrapper(
  name: WrapperName,
  args: readonly string[],
  cwd = process.cwd(),
): Promise<number> {
  try {
    const session = readSession() ?? (await ownSession(cwd));
    if (name === 'hotpatch-link') return await linkWrapper(session, args, cwd);
    return await compilerWrapper(session, name, args, cwd);
  } catch (error) {
    if (!(error instanceof MakeError)) throw error;
    process.stderr.write(
      `${name}: error: ${error.message}\n${error.hint === undefined ? '' : `${name}: hint: ${error.hint}\n`}`,
    );
    return error.isUsage ? 2 : 1;
  }
}

/** A wrapper that is called by hand: for HOTPATCH_ARCH, with nothing recorded. */
async function ownSession(cwd: string): Promise<Session> {
  const wanted = process.env.HOTPATCH_ARCH ?? 'x64';
  const architecture = ARCHITECTURES.find((name) => name === wanted);
  if (architecture === undefined)
    throw new MakeError({ rule: 'input', message: `HOTPATCH_ARCH is ${wanted}: write x64, arm64 or x86` });
  const toolchain = findToolchain();
  const cache = cacheFolder();
  return {
    architecture,
    toolchain,
    tree: cwd,
    records: '',
    store: join(cache, 'store'),
    libraries: await prepareLibraries(cache, architecture, toolchain, false),
    isDriver: false,
    flags: [],
  };
}

function record(session: Session, entry: Parameters<typeof addRecord>[1]): void {
  if (session.records !== '') addRecord(session, entry);
}

async function compilerWrapper(
  session: Session,
  name: WrapperName,
  args: readonly string[],
  cwd: string,
): Promise<number> {
  const request = parseCompilerArguments(args, cwd);
  const flags = name === 'hotpatch-c++' ? ['--driver-mode=g++', ...request.flags] : request.flags;
  if (request.mode !== 'compile' && request.mode !== 'link') return passOn(session, request, flags, cwd);
  const objects: string[] = [];
  const temporary = join(cwd, `.hotpatch-${process.pid}`);
  try {
    for (const source of request.sources) {
      const stem = basename(source).replace(/\.[^.]*$/, '');
      const output =
        request.mode === 'compile'
          ? (request.output ?? `${stem}.o`)
          : join(temporary, `${objects.length}`, `${stem}.o`);
      const made = await compile(session, { ...request, flags }, source, output, cwd);
      process.stderr.write(made.output);
      if (made.status !== 0) return made.status;
      if (made.record !== undefined) record(session, made.record);
      objects.push(output);
    }
    if (request.mode === 'compile') return 0;
    await linkFor(session, cwd, {
      output: request.output ?? (request.isShared ? 'a.dll' : 'a.exe'),
      isDll: request.isShared,
      inputs: [...objects, ...request.linkInputs],
      libraryFolders: request.libraryFolders,
      flags: request.linkerFlags,
    });
    return 0;
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** Everything that makes no object: preprocessing, questions about the compiler. */
function passOn(session: Session, request: CompilerRequest, flags: readonly string[], cwd: string): number {
  const mode =
    { preprocess: ['-E'], assemble: ['-S'], syntax: ['-fsyntax-only'] }[request.mode as string] ?? [];
  const own =
    request.mode === 'query'
      ? [`--target=${targetOf(session)}`, ...flags]
      : compilerArguments(session, flags);
  const makesRules = flags.includes('-M') || flags.includes('-MM');
  const { status } = spawnSync(
    session.toolchain.tools.clang,
    [
      ...own,
      ...(makesRules ? [] : mode),
      ...request.sources,
      ...(request.output === undefined ? [] : ['-o', request.output]),
      ...(request.dependencyFile === undefined ? [] : ['-MF', request.dependencyFile]),
    ],
    { cwd, stdio: 'inherit', env: compilerEnvironment() },
  );
  return status ?? 1;
}

function targetOf(session: Session): string {
  return compilerArguments(session, [])[0]?.replace('--target=', '') ?? '';
}

async function linkWrapper(session: Session, args: readonly string[], cwd: string): Promise<number> {
  if (args.length === 0 || args.some((arg) => /^(?:--version|-v|\/\?)$/.test(arg))) {
    const { status } = spawnSync(session.toolchain.tools.lld, args, { cwd, stdio: 'inherit' });
    return status ?? 1;
  }
  await linkFor(session, cwd, parseLinkerArguments(args, cwd));
  return 0;
}

interface Wanted {
  readonly output: string;
  readonly isDll: boolean;
  readonly inputs: readonly string[];
  readonly libraryFolders: readonly string[];
  readonly flags: readonly string[];
}

/** Flags of GNU ld that mean something here. */
const IMPLIB = /^(?:--out-implib)(?:=(.*))?$/;

async function linkFor(session: Session, cwd: string, wanted: Wanted): Promise<void> {
  const inputs = wanted.inputs.map((input) => findLibrary(input, wanted.libraryFolders, cwd));
  const files = inputs.filter((input): input is string => input !== undefined);
  const output = resolve(cwd, wanted.output);
  record(session, {
    kind: 'link',
    cwd: inTree(cwd, session.tree),
    output: inTree(output, session.tree),
    isDll: wanted.isDll,
    inputs: files.map((file) => inTree(file, session.tree)),
    flags: linkerFlags(wanted.flags),
  });
  const objects: NamedObject[] = [];
  for (const file of files.filter((path) => /\.(?:o|obj|lo)$/i.test(path)))
    objects.push({ name: `${objects.length}-${basename(file).replace(/\.\w+$/, '')}.obj`, file });
  const definition = files.find((path) => /\.def$/i.test(path));
  const folder = join(dirname(output), `.hotpatch-link-${process.pid}`);
  const image = basename(output).includes('.') ? basename(output) : `${basename(output)}.exe`;
  try {
    const linked = await link(session, {
      folder,
      image,
      kind: wanted.isDll ? 'dll' : 'exe',
      objects,
      libraries: files.filter((path) => /\.(?:lib|a)$/i.test(path)),
      ...(definition === undefined ? {} : { definition }),
      flags: linkerFlags(wanted.flags),
      ...(wanted.isDll && definition === undefined
        ? {
            exports: exportsOf(
              session,
              objects.map(({ file }) => file),
            ),
          }
        : {}),
      missing: isTrial(output) ? 'error' : 'imports',
    });
    mkdirSync(dirname(output), { recursive: true });
    copyFileSync(linked.image, output);
    const implib = importLibraryOf(wanted.flags);
    if (wanted.isDll && implib !== undefined)
      copyFileSync(linked.image.replace(/\.\w+$/, '.lib'), resolve(cwd, implib));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What configure, CMake and meson link to see whether something is there. */
function isTrial(output: string): boolean {
  return /^(?:conftest|cmTC_)|\/(?:CMakeScratch|CMakeTmp|meson-private)\//.test(
    /\/(?:CMakeScratch|CMakeTmp|meson-private)\//.test(output) ? output : basename(output),
  );
}

/** Options of lld-link among what was given with -Wl. */
function linkerFlags(flags: readonly string[]): string[] {
  return flags.filter((flag) =>
    /^\/(?:export|include|alternatename|section|merge|stack|heap|base):/i.test(flag),
  );
}

function importLibraryOf(flags: readonly string[]): string | undefined {
  const at = flags.findIndex((flag) => IMPLIB.test(flag));
  return at < 0 ? undefined : (IMPLIB.exec(flags[at] ?? '')?.[1] ?? flags[at + 1]);
}

/** `-lz`: libz.a, libz.dll.a or z.lib of the library folders; the system's own are always there. */
function findLibrary(input: string, folders: readonly string[], cwd: string): string | undefined {
  if (!input.startsWith('-l')) return resolve(cwd, input);
  const name = input.slice(2);
  for (const folder of folders)
    for (const file of [`lib${name}.dll.a`, `lib${name}.a`, `${name}.lib`]) {
      const path = resolve(cwd, folder, file);
      if (isReadable(path)) return path;
    }
  return undefined;
}

function isReadable(path: string): boolean {
  try {
    return readFileSync(path).length > 0;
  } catch {
    return false;
  }
}

/** Writes scripts that call the wrappers, to put on the PATH of a build. */
export function writeWrapperScripts(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const isSource = import.meta.url.endsWith('.ts');
  const main = new URL(isSource ? './wrapper-main.ts' : './wrapper-main.js', import.meta.url).pathname;
  const node = `"${process.execPath}"${isSource ? ` --import "${import.meta.resolve('tsx')}"` : ''}`;
  for (const name of ['hotpatch-cc', 'hotpatch-c++', 'hotpatch-link'])
    writeFileSync(join(folder, name), `#!/bin/sh\nexec ${node} "${main}" ${name} "$@"\n`, { mode: 0o755 });
}
