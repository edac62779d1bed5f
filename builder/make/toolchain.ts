import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, realpathSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { ImageArchitecture } from '../../image/index.js';
import { MakeError } from './error.js';

/** The programs that images are made with. Each can be named by the environment variable of its key. */
const TOOLS = {
  clang: { variable: 'HOTPATCH_CLANG', commands: ['clang-22', 'clang'], package: 'clang-22' },
  lld: { variable: 'HOTPATCH_LLD_LINK', commands: ['lld-link-22', 'lld-link'], package: 'lld-22' },
  dlltool: {
    variable: 'HOTPATCH_DLLTOOL',
    commands: ['llvm-dlltool-22', 'llvm-dlltool'],
    package: 'llvm-22',
  },
  objcopy: {
    variable: 'HOTPATCH_OBJCOPY',
    commands: ['llvm-objcopy-22', 'llvm-objcopy'],
    package: 'llvm-22',
  },
  ar: { variable: 'HOTPATCH_AR', commands: ['llvm-ar-22', 'llvm-ar'], package: 'llvm-22' },
} as const;

export type ToolName = keyof typeof TOOLS;

/** -fms-secure-hotpatch-functions-list came with LLVM 21. */
const OLDEST_CLANG = 21;

/** Where Debian's mingw-w64-common has the headers; they serve all three architectures. */
const MINGW_HEADERS = ['/usr/share/mingw-w64/include', '/usr/x86_64-w64-mingw32/include'];

export const HOW_TO_GET_CXX_HEADERS = 'apt-get install --no-install-recommends libc++-22-dev (Debian)';

export interface Toolchain {
  readonly tools: Readonly<Record<ToolName, string>>;
  /** `22.1.8` */
  readonly version: string;
  readonly resourceFolder: string;
  /** Windows headers of mingw-w64; undefined with a Windows SDK. */
  readonly headers?: string;
  /** Headers of the C++ standard library (libc++), when they are there; undefined with a Windows SDK, which has its own. */
  readonly cxxHeaders?: string;
  /** A Windows SDK: a folder that clang's -Xmicrosoft-windows-sys-root takes. */
  readonly sysroot?: string;
}

export interface MissingTool {
  readonly name: string;
  readonly neededFor: string;
  readonly howToGet: string;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** The path of a command, as a shell would find it. */
export function findCommand(name: string, environment: Environment = process.env): string | undefined {
  const candidates = name.includes('/')
    ? [name]
    : (environment.PATH ?? '')
        .split(delimiter)
        .filter((folder) => folder !== '')
        .map((folder) => join(folder, name));
  return candidates.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return statSync(path).isFile();
    } catch {
      return false;
    }
  });
}

function findTool(name: ToolName, environment: Environment): string | undefined {
  const { variable, commands } = TOOLS[name];
  const given = environment[variable];
  const wanted = given === undefined || given === '' ? commands : [given];
  return wanted.map((command) => findCommand(command, environment)).find((path) => path !== undefined);
}

/** The folder with mingw-w64's headers of Windows. */
export function findHeaders(environment: Environment = process.env): string | undefined {
  const given = environment.HOTPATCH_HEADERS;
  return [...(given === undefined || given === '' ? [] : [given]), ...MINGW_HEADERS].find((folder) =>
    existsSync(join(folder, 'windows.h')),
  );
}

/** The folder with the C++ standard library's headers: of libc++, beside the compiler. */
export function findCxxHeaders(
  resourceFolder: string,
  environment: Environment = process.env,
): string | undefined {
  const given = environment.HOTPATCH_CXX_HEADERS;
  return [
    ...(given === undefined || given === '' ? [] : [given]),
    join(resourceFolder, '..', '..', '..', 'include', 'c++', 'v1'),
  ].find((folder) => existsSync(join(folder, '__config')));
}

/** What `hotpatch make` lacks on this machine; empty when it can work. Changes nothing. */
export function missingForMake(environment: Environment = process.env): MissingTool[] {
  const names = Object.keys(TOOLS) as ToolName[];
  const missing = names
    .filter((name) => findTool(name, environment) === undefined)
    .map((name) => ({
      name: TOOLS[name].commands[0],
      neededFor: 'hotpatch make',
      howToGet: `apt-get install ${TOOLS[name].package}`,
    }));
  if (findHeaders(environment) !== undefined) return missing;
  return [
    ...missing,
    {
      name: 'mingw-w64-common',
      neededFor: 'hotpatch make: the headers of Windows',
      howToGet: 'apt-get install mingw-w64-common, or pass a Windows SDK with --sysroot',
    },
  ];
}

/**
 * The compiler, linker and headers of this machine.
 * @throws MakeError `toolchain.missing`, `headers.missing`: what is missing and how to get it
 */
export function findToolchain(
  options: { readonly sysroot?: string; readonly environment?: Environment } = {},
): Toolchain {
  const { sysroot, environment = process.env } = options;
  const found = (Object.keys(TOOLS) as ToolName[]).map(
    (name) => [name, findTool(name, environment)] as const,
  );
  const absent = found.filter(([, path]) => path === undefined).map(([name]) => TOOLS[name]);
  if (absent.length > 0)
    throw new MakeError({
      rule: 'toolchain.missing',
      message: `hotpatch make needs ${absent.map(({ commands }) => commands[0]).join(', ')}, and cannot find ${absent.length === 1 ? 'it' : 'them'}`,
      hint: `apt-get install ${[...new Set(absent.map((tool) => tool.package))].join(' ')} mingw-w64-common (Debian); hotpatch doctor shows what else is missing`,
    });
  const tools = Object.fromEntries(found) as Record<ToolName, string>;
  const version = /version (\d+(?:\.\d+)*)/.exec(answer(tools.clang, ['--version']))?.[1] ?? '0';
  if (Number(version.split('.')[0]) < OLDEST_CLANG)
    throw new MakeError({
      rule: 'toolchain.missing',
      message: `${tools.clang} is version ${version}; -fms-secure-hotpatch-functions-list needs clang ${OLDEST_CLANG} or later`,
      hint: 'apt-get install clang-22 lld-22 llvm-22 (Debian)',
    });
  const resourceFolder = answer(tools.clang, ['-print-resource-dir']).trim();
  if (sysroot !== undefined) {
    if (!existsSync(sysroot))
      throw new MakeError({
        rule: 'headers.missing',
        message: `--sysroot ${sysroot}: there is no such folder`,
      });
    return { tools, version, resourceFolder, sysroot: realpathSync(sysroot) };
  }
  const headers = findHeaders(environment);
  if (headers === undefined)
    throw new MakeError({
      rule: 'headers.missing',
      message: 'hotpatch make needs headers of Windows, and cannot find any',
      hint: 'apt-get install mingw-w64-common (Debian; they serve x64, ARM64 and x86), or pass a Windows SDK with --sysroot',
    });
  const cxxHeaders = findCxxHeaders(resourceFolder, environment);
  return { tools, version, resourceFolder, headers, ...(cxxHeaders === undefined ? {} : { cxxHeaders }) };
}

function answer(command: string, args: readonly string[]): string {
  return spawnSync(command, args, { encoding: 'utf8', timeout: 30_000 }).stdout ?? '';
}

interface Target {
  /** With mingw-w64's headers. */
  readonly gnu: string;
  /** With a Windows SDK. */
  readonly msvc: string;
  /** What `configure --host` calls it. */
  readonly host: string;
  /** CMAKE_SYSTEM_PROCESSOR. */
  readonly processor: string;
  readonly dlltoolMachine: string;
  readonly linkerFlags: readonly string[];
  /** What C puts before a name. */
  readonly prefix: '' | '_';
  /** Bytes of arguments as they decorate the names of entries: `@12`. */
  readonly dllEntrySuffix: string;
  readonly driverEntrySuffix: string;
}

export const TARGETS: Readonly<Record<ImageArchitecture, Target>> = {
  x64: {
    gnu: 'x86_64-w64-windows-gnu',
    msvc: 'x86_64-pc-windows-msvc',
    host: 'x86_64-w64-mingw32',
    processor: 'AMD64',
    dlltoolMachine: 'i386:x86-64',
    linkerFlags: ['/machine:x64', '/highentropyva'],
    prefix: '',
    dllEntrySuffix: '',
    driverEntrySuffix: '',
  },
  arm64: {
    gnu: 'aarch64-w64-windows-gnu',
    msvc: 'aarch64-pc-windows-msvc',
    host: 'aarch64-w64-mingw32',
    processor: 'ARM64',
    dlltoolMachine: 'arm64',
    linkerFlags: ['/machine:arm64', '/highentropyva'],
    prefix: '',
    dllEntrySuffix: '',
    driverEntrySuffix: '',
  },
  x86: {
    gnu: 'i686-w64-windows-gnu',
    msvc: 'i686-pc-windows-msvc',
    host: 'i686-w64-mingw32',
    processor: 'X86',
    dlltoolMachine: 'i386',
    linkerFlags: ['/machine:x86', '/safeseh:no'],
    prefix: '_',
    dllEntrySuffix: '@12',
    driverEntrySuffix: '@8',
  },
};

/** Flags that come before the program's own: the target and where its headers are. */
export function targetFlags(architecture: ImageArchitecture, toolchain: Toolchain): string[] {
  const target = TARGETS[architecture];
  if (toolchain.sysroot !== undefined)
    return [
      `--target=${target.msvc}`,
      '-fms-compatibility',
      '-Xmicrosoft-windows-sys-root',
      toolchain.sysroot,
    ];
  return [
    `--target=${target.gnu}`,
    '-nostdinc',
    // Before those of C, which its wrappers include.
    ...(toolchain.cxxHeaders === undefined ? [] : ['-cxx-isystem', toolchain.cxxHeaders]),
    '-idirafter',
    join(toolchain.resourceFolder, 'include'),
    '-idirafter',
    toolchain.headers ?? '',
    '-D_UCRT',
    '-D__USE_MINGW_ANSI_STDIO=0',
  ];
}

/** Flags that come after the program's own: what makes code hotpatchable and reproducible; docs/toolchain.md says why. */
export const HOTPATCH_FLAGS: readonly string[] = [
  '-Wno-error',
  '-fno-stack-protector',
  '-fasynchronous-unwind-tables',
  '-fno-lto',
  '-g',
  '-gcodeview',
  '-fms-hotpatch',
  '-ffunction-sections',
  '-fdata-sections',
  '-Xclang',
  '-cfguard',
  '-mno-incremental-linker-compatible',
  '-ffile-compilation-dir=.',
  '-gno-codeview-command-line',
];

/** Linker flags of every image. */
export const LINKER_FLAGS: readonly string[] = [
  '/nologo',
  '/nodefaultlib',
  '/dynamicbase',
  '/nxcompat',
  '/guard:cf',
  '/incremental:no',
  '/debug',
  '/release',
  '/Brepro',
  '/opt:ref',
  '/opt:noicf',
  '/pdbsourcepath:/build',
  '/functionpadmin:6',
  '/hotpatchcompatible',
  '/errorlimit:0',
];
