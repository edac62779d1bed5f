import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export type Architecture = 'x64' | 'arm64' | 'x86';
export const ARCHITECTURES: readonly Architecture[] = ['x64', 'arm64', 'x86'];

/** Sources that every image needs: the C runtime's memory functions and a load configuration. */
const RUNTIME = fileURLToPath(new URL('../fixtures/src/', import.meta.url));

const CLANG = process.env.CLANG ?? 'clang-22';
const LLD = process.env.LLD ?? 'lld-link-22';
const DLLTOOL = process.env.DLLTOOL ?? 'llvm-dlltool-22';

interface Target {
  readonly triple: string;
  readonly dlltoolMachine: string;
  readonly flags: readonly string[];
  readonly entries: { readonly dll: string; readonly driver: string };
}

const TARGETS: Record<Architecture, Target> = {
  x64: {
    triple: 'x86_64-pc-windows-msvc',
    dlltoolMachine: 'i386:x86-64',
    flags: ['/highentropyva'],
    entries: { dll: '_DllMainCRTStartup', driver: 'DriverEntry' },
  },
  arm64: {
    triple: 'aarch64-pc-windows-msvc',
    dlltoolMachine: 'arm64',
    flags: ['/highentropyva'],
    entries: { dll: '_DllMainCRTStartup', driver: 'DriverEntry' },
  },
  x86: {
    triple: 'i686-pc-windows-msvc',
    dlltoolMachine: 'i386',
    flags: ['/safeseh:no'],
    entries: { dll: '_DllMainCRTStartup@12', driver: 'DriverEntry@8' },
  },
};

/** What makes an image hotpatchable and reproducible; docs/toolchain.md says why. */
const COMPILER_FLAGS =
  '-O2 -ffreestanding -fno-stack-protector -fms-extensions -Wall -Wno-four-char-constants -Wno-multichar -fasynchronous-unwind-tables -g -gcodeview -fms-hotpatch -ffunction-sections -fdata-sections -Xclang -cfguard -mno-incremental-linker-compatible -ffile-compilation-dir=. -gno-codeview-command-line'.split(
    ' ',
  );
const LINKER_FLAGS =
  '/nologo /nodefaultlib /dynamicbase /nxcompat /incremental:no /debug /release /Brepro /opt:ref /opt:noicf /pdbsourcepath:/build'.split(
    ' ',
  );
const HOTPATCH_LINKER_FLAGS = ['/guard:cf', '/functionpadmin:6', '/hotpatchcompatible'];

/** Is the compiler here that the corpus is built with? */
export function hasToolchain(): boolean {
  return [CLANG, LLD, DLLTOOL].every((tool) => spawnSync(tool, ['--version']).error === undefined);
}

export interface Source {
  /** C file. */
  readonly file: string;
  readonly flags?: readonly string[];
  /** Compile it without -fms-hotpatch. */
  readonly unprepared?: boolean;
  /** IR names for -fms-secure-hotpatch-functions-list. */
  readonly marked?: readonly string[];
}

export interface BuildRequest {
  readonly architecture: Architecture;
  /** Folder for objects and image; made if needed. */
  readonly folder: string;
  /** `victim.dll` or `victim.sys`, which decides between DLL and driver. */
  readonly image: string;
  readonly sources: readonly Source[];
  readonly compilerFlags?: readonly string[];
  readonly linkerFlags?: readonly string[];
  /** Linker flags that make a base hotpatchable. Default true. */
  readonly hotpatchable?: boolean;
  /** Module definition files of DLLs to import from, by the stem of their import library. */
  readonly imports?: readonly string[];
  /** Instead of DllMain or DriverEntry. */
  readonly entry?: string;
  /** For a change between compiler and linker, such as llvm-objcopy. */
  readonly onObjects?: (objects: readonly string[]) => void;
}

/** What every image is linked with, as it was made the first time. */
const runtimes = new Map<string, Uint8Array>();

/** Compiles and links one image with its PDB and map; returns its path. */
export function buildImage(request: BuildRequest): string {
  const { architecture, folder, image, sources, hotpatchable = true } = request;
  const target = TARGETS[architecture];
  const isDriver = image.endsWith('.sys');
  const stem = image.replace(/\.\w+$/, '');
  mkdirSync(folder, { recursive: true });
  const run = (command: string, args: readonly string[]) => {
    const { status, stderr, error } = spawnSync(command, args, { cwd: folder, encoding: 'utf8' });
    if (error !== undefined) throw error;
    if (status !== 0) throw new Error(`${command} ${args.at(-1)}: ${stderr}`);
  };
  const compile = ({ file, flags = [], marked = [], unprepared = false }: Source, object: string) =>
    run(CLANG, [
      `--target=${target.triple}`,
      ...(file.endsWith('.S')
        ? ['-mno-incremental-linker-compatible']
        : COMPILER_FLAGS.filter((flag) => !(unprepared && flag === '-fms-hotpatch'))),
      ...(file.endsWith('.S') ? [] : (request.compilerFlags ?? [])),
      ...(marked.length === 0 ? [] : [`-fms-secure-hotpatch-functions-list=${marked.join(',')}`]),
      ...flags,
      '-c',
      file,
      '-o',
      object,
    ]);
  const objects = sources.map((source, index) => {
    const object = `${index}-${source.file.replace(/^.*\//, '').replace(/\.\w+$/, '')}.obj`;
    compile(source, object);
    return object;
  });
  for (const [name, extension] of [
    ['rt', 'c'],
    ['loadcfg', 'S'],
  ] as const) {
    const key = [architecture, name, ...(request.compilerFlags ?? [])].join(' ');
    const known = runtimes.get(key);
    if (known === undefined) compile({ file: join(RUNTIME, `${name}.${extension}`) }, `${name}.obj`);
    else writeFileSync(join(folder, `${name}.obj`), known);
    runtimes.set(key, known ?? readFileSync(join(folder, `${name}.obj`)));
  }
  request.onObjects?.(objects.map((object) => join(folder, object)));
  const libraries = (request.imports ?? []).map((definition) => {
    const library = `${definition.replace(/^.*\//, '').replace(/\.\w+$/, '')}.lib`;
    const decorated = architecture === 'x86' ? ['-k'] : [];
    const key = [architecture, library, readFileSync(definition, 'utf8')].join(' ');
    const known = runtimes.get(key);
    if (known === undefined)
      run(DLLTOOL, ['-m', target.dlltoolMachine, ...decorated, '-d', definition, '-l', library]);
    else writeFileSync(join(folder, library), known);
    runtimes.set(key, known ?? readFileSync(join(folder, library)));
    return library;
  });
  run(LLD, [
    ...LINKER_FLAGS,
    ...(hotpatchable ? HOTPATCH_LINKER_FLAGS : ['/guard:cf']),
    ...target.flags,
    `/machine:${architecture}`,
    ...(isDriver ? ['/driver', '/subsystem:native,10.0'] : ['/dll']),
    `/entry:${request.entry ?? target.entries[isDriver ? 'driver' : 'dll']}`,
    ...(request.linkerFlags ?? []),
    ...objects,
    'rt.obj',
    'loadcfg.obj',
    ...libraries,
    `/out:${image}`,
    `/pdb:${stem}.pdb`,
    `/pdbaltpath:${stem}.pdb`,
    `/map:${stem}.map`,
    `/implib:${stem}.lib`,
  ]);
  return join(folder, image);
}

/** Runs a tool of the LLVM suite, such as `llvm-objcopy`. */
export function llvm(tool: string, ...args: string[]): void {
  execFileSync(`${tool}-22`, args, { stdio: ['ignore', 'ignore', 'inherit'] });
}
