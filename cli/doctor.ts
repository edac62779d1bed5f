import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { Command } from 'commander';
import { findHeaders } from '../builder/index.js';
import {
  assemble,
  type Counting,
  defaultCounting,
  disassemble,
  howToGetUnicorn,
  instructionLength,
  isGuarded,
  packageRoot,
  type RefusedUnicorn,
  searchUnicorn,
  type UnicornLibrary,
  type UnicornSearchOptions,
} from '../cpu/index.js';
import { field, heading } from './layout.js';
import { colours, EXIT, print, printJson } from './output.js';

/** As `engines` of package.json has it. */
export const OLDEST_NODE = '20.9';

export interface DoctorReport {
  /** Unicorn was found, Node is new enough and every package works. */
  readonly ready: boolean;
  readonly node: { readonly version: string; readonly ok: boolean };
  readonly system: string;
  readonly unicorn: UnicornLibrary | null;
  /** Whether an instruction that Unicorn's translator cannot take is the guest's exception; otherwise it ends the process. */
  readonly guarded: boolean;
  /** How instructions are counted: by `blocks` where this process may have machine code of its own, else one by one. */
  readonly counting: Counting | null;
  /** Candidates looked at before, and why they were refused. */
  readonly refused: readonly RefusedUnicorn[];
  /** Steps; empty when Unicorn was found. */
  readonly howToGetUnicorn: readonly string[];
  readonly packages: readonly PackageCheck[];
  readonly tools: readonly ToolCheck[];
}

interface PackageCheck {
  readonly name: string;
  readonly version: string | null;
  readonly ok: boolean;
  readonly reason?: string;
}

interface ToolCheck {
  readonly name: string;
  readonly path: string | null;
  readonly version: string | null;
  readonly neededFor: string;
  /** Given when the tool is missing. */
  readonly howToGet?: string;
}

interface DoctorFlags {
  readonly fix?: boolean;
  readonly json?: boolean;
}

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('What is installed, which Unicorn was found where, what is missing and how to get it.')
    .option(
      '--fix',
      "fetch the official Unicorn library into the user's cache, once for every project; changes nothing else",
    )
    .option('--json', 'one JSON document on stdout')
    .addHelpText('after', '\nExample:\n  hotpatch doctor --fix')
    .action(async (flags: DoctorFlags) => {
      if (flags.fix === true) fetchAgain();
      const report = await examine();
      if (flags.json === true) printJson(report);
      else for (const line of describe(report)) print(line);
      if (report.unicorn === null) process.exitCode = EXIT.unicornMissing;
      else if (!report.ready) process.exitCode = EXIT.failed;
    });
}

/** What went wrong is on stderr, and in the report that follows. */
function fetchAgain(): void {
  const script = join(packageRoot(), 'scripts', 'setup', 'fetch-unicorn.js');
  spawnSync(process.execPath, [script, '--force'], { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** Looks at this machine; changes nothing. */
export async function examine(options: UnicornSearchOptions = {}): Promise<DoctorReport> {
  const { found = null, refused } = searchUnicorn(options);
  const node = {
    version: process.versions.node,
    ok: isNodeNewEnough(process.versions.node),
  };
  const packages = await Promise.all(PACKAGES.map(checkPackage));
  return {
    ready: found !== null && node.ok && packages.every(({ ok }) => ok),
    node,
    system: `${process.platform}-${process.arch}`,
    unicorn: found,
    guarded: found !== null && isTranslatorGuarded(),
    counting: found === null ? null : defaultCounting(),
    refused,
    howToGetUnicorn: found === null ? howToGetUnicorn(options) : [],
    packages,
    tools: [
      ...TOOLS.map((tool) => checkTool(tool, options.environment ?? process.env)),
      checkHeaders(options.environment ?? process.env),
    ],
  };
}

/** Whether a version such as `20.9.0` is {@link OLDEST_NODE} or later. */
export function isNodeNewEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = OLDEST_NODE.split('.').map(Number);
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
}

function isTranslatorGuarded(): boolean {
  try {
    return isGuarded();
  } catch {
    return false; // The library that was found is not the one that this process would load.
  }
}

interface Package {
  readonly name: string;
  /** Does something small with it. */
  readonly use: () => Promise<unknown>;
}

const NOP = Uint8Array.of(0x90);

const PACKAGES: readonly Package[] = [
  { name: 'koffi', use: () => import('koffi') },
  { name: 'iced-x86', use: async () => instructionLength('x64', NOP, 0n) },
  { name: '@alexaltea/capstone-js', use: () => disassemble('x64', NOP, 0n) },
  { name: '@alexaltea/keystone-js', use: () => assemble('x64', 'nop', { address: 0n }) },
];

async function checkPackage({ name, use }: Package): Promise<PackageCheck> {
  const version = packageVersion(name);
  try {
    await use();
    return { name, version, ok: true };
  } catch (cause) {
    return { name, version, ok: false, reason: cause instanceof Error ? cause.message : String(cause) };
  }
}

function packageVersion(name: string): string | null {
  const { resolve } = createRequire(import.meta.url);
  try {
    // By its own file: a package manager may have no folders of packages.
    for (let folder = dirname(resolve(name)); folder !== dirname(folder); folder = dirname(folder)) {
      const file = join(folder, 'package.json');
      const parsed: unknown = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
      if (typeof parsed === 'object' && parsed !== null && 'name' in parsed && parsed.name === name)
        return 'version' in parsed ? String(parsed.version) : null;
    }
  } catch {
    // Not installed, or not whole.
  }
  return null;
}

interface Tool {
  readonly name: string;
  /** Debian's names first. */
  readonly commands: readonly string[];
  readonly neededFor: string;
  readonly package: Readonly<Record<'debian' | 'brew' | 'winget', string>>;
}

const TOOLS: readonly Tool[] = [
  {
    name: 'clang-22',
    commands: ['clang-22', 'clang'],
    neededFor: 'building images with hotpatch metadata',
    package: { debian: 'clang-22', brew: 'llvm', winget: 'LLVM.LLVM' },
  },
  {
    name: 'lld-link-22',
    commands: ['lld-link-22', 'lld-link'],
    neededFor: 'linking those images',
    package: { debian: 'lld-22', brew: 'lld', winget: 'LLVM.LLVM' },
  },
  {
    name: 'llvm-readobj-22',
    commands: ['llvm-readobj-22', 'llvm-readobj'],
    neededFor: 'comparing what is read from images',
    package: { debian: 'llvm-22', brew: 'llvm', winget: 'LLVM.LLVM' },
  },
  {
    name: 'llvm-dlltool-22',
    commands: ['llvm-dlltool-22', 'llvm-dlltool'],
    neededFor: 'hotpatch make: import libraries',
    package: { debian: 'llvm-22', brew: 'llvm', winget: 'LLVM.LLVM' },
  },
  {
    name: 'llvm-objcopy-22',
    commands: ['llvm-objcopy-22', 'llvm-objcopy'],
    neededFor: 'hotpatch make: __ref_ symbols of one name',
    package: { debian: 'llvm-22', brew: 'llvm', winget: 'LLVM.LLVM' },
  },
  {
    name: 'gdb-multiarch',
    commands: ['gdb-multiarch', 'gdb'],
    neededFor: 'hotpatch gdb',
    package: { debian: 'gdb-multiarch', brew: 'gdb', winget: 'BrechtSanders.WinLibs.POSIX.UCRT' },
  },
  {
    name: 'chromium',
    commands: ['chromium', 'chromium-browser', 'google-chrome'],
    neededFor: 'tests of recorded pages',
    package: { debian: 'chromium', brew: '--cask chromium', winget: 'Hibbiki.Chromium' },
  },
];

function checkTool(tool: Tool, environment: NonNullable<UnicornSearchOptions['environment']>): ToolCheck {
  const { name, neededFor } = tool;
  const path = tool.commands
    .map((command) => onPath(command, environment))
    .find((found) => found !== undefined);
  if (path === undefined) return { name, path: null, version: null, neededFor, howToGet: howToGet(tool) };
  const asked = spawnSync(path, ['--version'], {
    encoding: 'utf8',
    timeout: 10_000,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return { name, path, version: /\d+(?:\.\d+)+/.exec(asked.stdout ?? '')?.[0] ?? null, neededFor };
}

/** Headers of Windows are files, not a program. */
function checkHeaders(environment: NonNullable<UnicornSearchOptions['environment']>): ToolCheck {
  const path = findHeaders(environment) ?? null;
  return {
    name: 'mingw-w64-common',
    path,
    version: null,
    neededFor: 'hotpatch make: headers of Windows',
    ...(path === null
      ? {
          howToGet:
            'apt-get install mingw-w64-common (Debian, Ubuntu), or hotpatch make --sysroot with a Windows SDK',
        }
      : {}),
  };
}

function howToGet({ package: names }: Tool): string {
  if (process.platform === 'darwin') return `brew install ${names.brew}`;
  if (process.platform === 'win32') return `winget install ${names.winget}`;
  return `apt-get install ${names.debian} (Debian, Ubuntu)`;
}

function onPath(
  command: string,
  environment: Readonly<Record<string, string | undefined>>,
): string | undefined {
  const extensions = process.platform === 'win32' ? ['.exe'] : [''];
  for (const folder of (environment.PATH ?? environment.Path ?? '').split(delimiter)) {
    for (const extension of extensions) {
      const path = join(folder, command + extension);
      try {
        accessSync(path, constants.X_OK);
        if (folder !== '' && statSync(path).isFile()) return path;
      } catch {
        // Not in this folder.
      }
    }
  }
  return undefined;
}

function describe(report: DoctorReport): string[] {
  const mark = (ok: boolean): string => (ok ? colours.green('ok     ') : colours.red('missing'));
  const { node, unicorn, packages, tools } = report;
  const lines = [heading('Needed', colours)];
  lines.push(
    field(
      'Node',
      `${node.ok ? colours.green('ok     ') : colours.red('too old')} ${node.version} on ${report.system}${node.ok ? '' : `; ${OLDEST_NODE} or later is needed`}`,
    ),
    field(
      'Unicorn',
      `${mark(unicorn !== null)} ${unicorn === null ? '2.1 or newer' : `${unicorn.version} at ${unicorn.path} (${unicorn.origin})`}`,
    ),
  );
  if (unicorn !== null) {
    const guarded = "its translator's failed assertions are the guest's exceptions";
    const unguarded =
      'an instruction that its translator does not take ends the process (docs/limitations.md)';
    lines.push(field('', report.guarded ? guarded : unguarded));
    const byBlocks = 'instructions are counted by blocks, in machine code of the host';
    const oneByOne = 'instructions are counted one by one: 2 to 15 times slower (docs/performance.md)';
    lines.push(field('', report.counting === 'blocks' ? byBlocks : oneByOne));
  }
  for (const { path, origin, reason } of report.refused)
    lines.push(field('', `refused ${path} (${origin}): ${reason}`));
  for (const { name, version, ok, reason } of packages) {
    lines.push(
      field(
        name,
        `${mark(ok)} ${version ?? ''}${reason === undefined ? '' : ` ${reason}; run: npm ci`}`.trimEnd(),
      ),
    );
  }
  lines.push('', heading('Optional', colours));
  for (const { name, path, version, neededFor, howToGet } of tools) {
    lines.push(
      field(
        name,
        path === null
          ? `${colours.dim('absent ')} for ${neededFor}: ${howToGet ?? ''}`
          : `${colours.green('ok     ')} ${version ?? ''} at ${path}`,
      ),
    );
  }
  if (report.howToGetUnicorn.length > 0) {
    lines.push('', heading('To get Unicorn', colours), ...report.howToGetUnicorn.map((step) => `  ${step}`));
  }
  return lines;
}
