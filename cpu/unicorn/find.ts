import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CpuError, messageOf } from '../error.js';
import { koffi, koffiDefect } from './koffi.js';
import { placeLibrary } from './placement.js';

/** Oldest libunicorn that has the virtual TLB. */
export const OLDEST_UNICORN = '2.1';

/** The library that set-up fetches. */
const FETCHED_UNICORN = '2.1.4';

/** Who put it there: the user, set-up into this package or into the user's cache, or the system. */
export type UnicornOrigin = 'UNICORN_LIBRARY' | 'vendor' | 'cache' | 'system';

export interface UnicornLibrary {
  /** File, or the bare name when the system's loader found it. */
  readonly path: string;
  /** As the library says of itself, e.g. `2.1.4`. */
  readonly version: string;
  readonly origin: UnicornOrigin;
}

export interface RefusedUnicorn {
  readonly path: string;
  readonly origin: UnicornOrigin;
  /** Set when the library could be asked. */
  readonly version?: string;
  readonly reason: string;
}

export interface UnicornSearch {
  readonly found?: UnicornLibrary;
  /** Candidates looked at before `found`, in order, each with the reason. */
  readonly refused: readonly RefusedUnicorn[];
}

export interface UnicornSearchOptions {
  /** Default: `process.env`. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Default: `process.platform`. */
  readonly platform?: NodeJS.Platform;
  /** Default: the folder of this package. */
  readonly packageRoot?: string;
  /** Default: the names under which the platform's loader knows libunicorn. */
  readonly systemNames?: readonly string[];
}

/**
 * The folder of the user's cache where set-up puts the library, once for every project: below `XDG_CACHE_HOME` or
 * `~/.cache`, `~/Library/Caches`, or `LOCALAPPDATA`. Undefined where nothing says where that is. Set-up has the same rule
 * (scripts/setup/fetch-unicorn.js), because it runs before anything is built.
 */
export function unicornCacheFolder(
  environment: Readonly<Record<string, string | undefined>> = process.env,
  platform: NodeJS.Platform = process.platform,
  architecture: string = process.arch,
): string | undefined {
  const cache = userCache(environment, platform);
  return cache === undefined
    ? undefined
    : join(cache, 'hotpatch-lab', `unicorn-${FETCHED_UNICORN}-${platform}-${architecture}`);
}

function userCache(
  environment: Readonly<Record<string, string | undefined>>,
  platform: NodeJS.Platform,
): string | undefined {
  const { HOME, USERPROFILE, LOCALAPPDATA: local = '', XDG_CACHE_HOME: xdg = '' } = environment;
  const home = (platform === 'win32' ? USERPROFILE : HOME) ?? '';
  const below = (...names: string[]) => (home === '' ? undefined : join(home, ...names));
  if (platform === 'win32') return local === '' ? below('AppData', 'Local') : local;
  if (platform === 'darwin') return below('Library', 'Caches');
  // The XDG base directory specification: a relative path is ignored.
  return isAbsolute(xdg) ? xdg : below('.cache');
}

/** File name under which set-up stores the library, per platform. */
export function unicornFileName(platform: NodeJS.Platform = process.platform): string {
  if (platform === 'win32') return 'unicorn.dll';
  return platform === 'darwin' ? 'libunicorn.2.dylib' : 'libunicorn.so.2';
}

/** Folder of the nearest enclosing `package.json` named hotpatch-lab; the same from source and from `dist/`. */
export function packageRoot(from: string = import.meta.url): string {
  const start = dirname(fileURLToPath(from));
  for (let folder = start; ; folder = dirname(folder)) {
    try {
      const parsed: unknown = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
      if (
        parsed !== null &&
        typeof parsed === 'object' &&
        'name' in parsed &&
        parsed.name === 'hotpatch-lab'
      ) {
        return folder;
      }
    } catch {
      // No readable package.json here: look one folder up.
    }
    if (dirname(folder) === folder) return resolve(start, '../../..');
  }
}

/**
 * Looks for libunicorn in the order `UNICORN_LIBRARY`, `vendor/` of this package, {@link unicornCacheFolder}, the system's
 * library names, and asks each for its version (`uc_version`). The first one that is new enough wins.
 *
 * A `UNICORN_LIBRARY` that is set decides alone: when it cannot be used the search ends without a result, because
 * running on another library than the one that was asked for would hide the mistake. An empty value counts as unset.
 */
export function searchUnicorn(options: UnicornSearchOptions = {}): UnicornSearch {
  const refused: RefusedUnicorn[] = [];
  for (const { path, origin } of candidates(options)) {
    const answer = askVersion(path);
    if ('version' in answer && isNewEnough(answer.version)) {
      return { found: { path, origin, version: answer.version }, refused };
    }
    refused.push(
      'version' in answer
        ? {
            path,
            origin,
            version: answer.version,
            reason: `version ${answer.version} is older than ${OLDEST_UNICORN}`,
          }
        : { path, origin, reason: answer.reason },
    );
  }
  return { refused };
}

/** The library that {@link searchUnicorn} decides on, or undefined. */
export function findUnicorn(options: UnicornSearchOptions = {}): UnicornLibrary | undefined {
  return searchUnicorn(options).found;
}

/** Like {@link findUnicorn}, but throws {@link UnicornMissing}. */
export function requireUnicorn(options: UnicornSearchOptions = {}): UnicornLibrary {
  const search = searchUnicorn(options);
  if (search.found === undefined) throw new UnicornMissing(search, options);
  return search.found;
}

/** No usable libunicorn. The message says what to do on this platform; the command exits with 3. */
export class UnicornMissing extends CpuError {
  override readonly name = 'UnicornMissing';
  /** Every candidate that was looked at, in order, and why it cannot be used. */
  readonly refused: readonly RefusedUnicorn[];

  constructor(search: UnicornSearch, options: UnicornSearchOptions = {}) {
    super('unicornMissing', missingMessage(search, options), { status: 'STATUS_DLL_NOT_FOUND' });
    this.refused = search.refused;
  }
}

/** What to do on `platform` to get Unicorn, one step per line. */
export function howToGetUnicorn(options: UnicornSearchOptions = {}): string[] {
  const platform = options.platform ?? process.platform;
  const root = options.packageRoot ?? packageRoot();
  const fetch = `node "${join(root, 'scripts', 'setup', 'fetch-unicorn.js')}"`;
  const steps = [
    `${fixingCommand(options)}        (or: ${fetch}) fetches the official library into ${unicornCacheFolder(options.environment, platform) ?? join(root, 'vendor')}; needs no root, changes nothing else`,
  ];
  if (koffiDefect() !== undefined)
    steps.unshift(
      'npm install koffi        brings the package that loads native libraries, for this platform',
    );
  if (namedLibrary(options) !== undefined)
    steps.unshift('unset UNICORN_LIBRARY, or name a library that works');
  if (platform === 'darwin') steps.push('or: brew install unicorn');
  if (platform === 'linux') {
    steps.push(
      'or install a distribution package that is new enough (Debian 12 has 2.0.1: too old), or build it: https://github.com/unicorn-engine/unicorn',
    );
  }
  const set =
    platform === 'win32' ? 'set UNICORN_LIBRARY=C:\\path\\to\\' : 'export UNICORN_LIBRARY=/path/to/';
  steps.push(
    `without a network: on another machine run "pip download unicorn==${FETCHED_UNICORN} --no-deps --only-binary=:all: --platform ${wheelPlatform(platform)}", take unicorn/lib/${unicornFileName(platform)} out of the wheel (it is a zip), and ${set}${unicornFileName(platform)}`,
  );
  return steps;
}

function missingMessage({ refused }: UnicornSearch, options: UnicornSearchOptions): string {
  const named = refused.find((candidate) => candidate.origin === 'UNICORN_LIBRARY');
  const lines =
    named === undefined
      ? [
          `Unicorn ${OLDEST_UNICORN} or newer is needed and none was found: "${fixingCommand(options)}" fetches it, once for every project.`,
          'Looked at:',
        ]
      : [
          'UNICORN_LIBRARY is set to a library that cannot be used (correct it, or unset it to use another one):',
        ];
  for (const { path, reason } of refused) lines.push(`  ${path}: ${reason}`);
  lines.push('What to do:', ...howToGetUnicorn(options).map((step) => `  ${step}`));
  return lines.join('\n');
}

/** How the package managers that name themselves run a command of an installed package. */
const RUNNERS: Readonly<Record<string, string>> = { pnpm: 'pnpm exec', yarn: 'yarn', bun: 'bunx' };

function fixingCommand({ environment = process.env }: UnicornSearchOptions): string {
  const [manager = ''] = environment.npm_config_user_agent?.split('/') ?? [];
  return `${Object.hasOwn(RUNNERS, manager) ? RUNNERS[manager] : 'npx'} hotpatch doctor --fix`;
}

function wheelPlatform(platform: NodeJS.Platform): string {
  if (platform === 'win32') return 'win_amd64';
  if (platform === 'darwin') return process.arch === 'arm64' ? 'macosx_11_0_arm64' : 'macosx_10_9_x86_64';
  return process.arch === 'arm64' ? 'manylinux2014_aarch64' : 'manylinux2014_x86_64';
}

const namedLibrary = ({ environment = process.env }: UnicornSearchOptions): string | undefined =>
  environment.UNICORN_LIBRARY === '' ? undefined : environment.UNICORN_LIBRARY;

function candidates(options: UnicornSearchOptions): { path: string; origin: UnicornOrigin }[] {
  const platform = options.platform ?? process.platform;
  const named = namedLibrary(options);
  if (named !== undefined) return [{ path: resolve(named), origin: 'UNICORN_LIBRARY' }];
  const root = options.packageRoot ?? packageRoot();
  const cache = unicornCacheFolder(options.environment, platform);
  return [
    { path: join(root, 'vendor', unicornFileName(platform)), origin: 'vendor' },
    ...(cache === undefined
      ? []
      : [{ path: join(cache, unicornFileName(platform)), origin: 'cache' as const }]),
    ...(options.systemNames ?? systemNames(platform)).map((path) => ({ path, origin: 'system' as const })),
  ];
}

function systemNames(platform: NodeJS.Platform): readonly string[] {
  if (platform === 'win32') return ['unicorn.dll'];
  if (platform === 'darwin') {
    const name = 'libunicorn.2.dylib';
    return [name, `/opt/homebrew/lib/${name}`, `/usr/local/lib/${name}`, `/opt/local/lib/${name}`];
  }
  return ['libunicorn.so.2', 'libunicorn.so'];
}

function isNewEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = OLDEST_UNICORN.split('.').map(Number);
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
}

function askVersion(path: string): { version: string } | { reason: string } {
  const defect = isAbsolute(path) ? fileDefect(path) : undefined;
  if (defect !== undefined) return { reason: defect };
  const koffiIsMissing = koffiDefect();
  if (koffiIsMissing !== undefined)
    return { reason: `koffi, which loads it, does not work here: ${koffiIsMissing}` };
  const native = koffi();
  try {
    placeLibrary(native);
    const library = native.load(path);
    try {
      // uc_version() with no out parameters: major << 24 | minor << 16 | patch << 8 | extra (unicorn.h, UC_MAKE_VERSION).
      const packed: unknown = library.func('uc_version', 'uint32_t', ['void *', 'void *'])(null, null);
      if (typeof packed !== 'number') throw new Error('uc_version did not answer');
      const version = `${packed >>> 24}.${(packed >>> 16) & 0xff}.${(packed >>> 8) & 0xff}`;
      if (!isNewEnough(version)) library.unload();
      return { version };
    } catch (cause) {
      library.unload();
      return { reason: `not a Unicorn library (${messageOf(cause)})` };
    }
  } catch (cause) {
    return { reason: messageOf(cause).replace(/^Failed to load shared library: /, '') };
  }
}

const PT_LOAD = 1;

/**
 * Why the file cannot be a loadable library, or undefined. The dynamic loader of Linux maps a truncated ELF file
 * without complaint and dies with SIGBUS, so the segments are checked to lie within the file first.
 */
function fileDefect(path: string): string | undefined {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (cause) {
    const missing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
    return missing ? 'there is no such file' : messageOf(cause);
  }
  try {
    const status = fstatSync(file);
    if (!status.isFile()) return 'not a file';
    const header = Buffer.alloc(64);
    const read = readSync(file, header, 0, 64, 0);
    if (read < 64) return `not a shared library (${status.size} bytes)`;
    if (header.readUInt32BE(0) !== 0x7f454c46 || header[4] !== 2 || header[5] !== 1) return undefined;
    const entrySize = header.readUInt16LE(54);
    const table = Buffer.alloc(entrySize * header.readUInt16LE(56));
    if (entrySize < 56) return 'damaged: ELF program headers are too small';
    if (readSync(file, table, 0, table.length, Number(header.readBigUInt64LE(32))) < table.length) {
      return 'damaged: ELF program headers lie outside the file';
    }
    for (let at = 0; at < table.length; at += entrySize) {
      if (table.readUInt32LE(at) !== PT_LOAD) continue;
      const end = table.readBigUInt64LE(at + 8) + table.readBigUInt64LE(at + 32);
      if (end > BigInt(status.size)) return `damaged: truncated to ${status.size} bytes, ${end} expected`;
    }
    return undefined;
  } catch (cause) {
    return messageOf(cause);
  } finally {
    closeSync(file);
  }
}
