// Gets libunicorn into the user's cache, or into vendor/ where there is none, unless one is there that is new enough: `npm
// ci` runs it as postinstall, before anything is built, and `hotpatch doctor --fix` runs it again. Plain JavaScript on Node's own modules for that reason.
//
//   node scripts/setup/fetch-unicorn.js               fetch unless a usable library is there; exit 3 when impossible
//   node scripts/setup/fetch-unicorn.js --force       fetch anyway
//   node scripts/setup/fetch-unicorn.js --on-install  as without options, but never fail an installation
// @ts-check
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { inflateRawSync } from 'node:zlib';

/**
 * @typedef {{ name: string, platform: string, sha256: string, entry: string, file: string }} Wheel
 * @typedef {{ name: string, get: (wheel: Wheel) => Promise<Uint8Array> }} Source
 * @typedef {{ version: string } | { reason: string, isUnknown?: boolean }} Answer
 * @typedef {{
 *   root: string,
 *   force?: boolean,
 *   target?: string,
 *   environment?: Record<string, string | undefined>,
 *   sources?: Source[],
 *   wheels?: Record<string, Wheel>,
 *   systemNames?: string[],
 *   ask?: (path: string) => Answer,
 *   log?: (line: string) => void,
 * }} Options
 * @typedef {{ status: 'present' | 'fetched', path: string, version: string } | { status: 'impossible', reason: string }} Result
 */

export const UNICORN_VERSION = '2.1.4';

/**
 * The user's cache, where one library serves every project; undefined where nothing says where it is. The same rule as in
 * cpu/unicorn/find.ts.
 * @type {(environment: Record<string, string | undefined>, platform?: NodeJS.Platform, architecture?: string) => string | undefined}
 */
export function cacheFolder(environment, platform = process.platform, architecture = process.arch) {
  const home = (platform === 'win32' ? environment.USERPROFILE : environment.HOME) || undefined;
  const below = (/** @type {string[]} */ ...names) => (home === undefined ? undefined : join(home, ...names));
  const { XDG_CACHE_HOME: xdg = '', LOCALAPPDATA: local = '' } = environment;
  let cache;
  if (platform === 'win32') cache = local === '' ? below('AppData', 'Local') : local;
  else if (platform === 'darwin') cache = below('Library', 'Caches');
  // The XDG base directory specification: a relative path is ignored.
  else cache = isAbsolute(xdg) ? xdg : below('.cache');
  return cache && join(cache, 'hotpatch-lab', `unicorn-${UNICORN_VERSION}-${platform}-${architecture}`);
}

const OLDEST = [2, 1];
const KOFFI_MISSING = 4;

/** @type {(platform: string, sha256: string, file: string) => Wheel} */
const wheel = (platform, sha256, file) => ({
  name: `unicorn-${UNICORN_VERSION}-cp37-abi3-${platform}.whl`,
  platform: platform.split('.')[0] ?? platform,
  sha256,
  entry: `unicorn/lib/${file}`,
  file,
});

/**
 * The official wheels by `process.platform`-`process.arch`.
 * @type {Record<string, Wheel>}
 */
export const WHEELS = {
  'linux-x64': wheel(
    'manylinux_2_17_x86_64.manylinux2014_x86_64',
    '9d6e6dea140560de4ebd8446661f7ef84a357d428c14a3ef09dacd306ec8c239',
    'libunicorn.so.2',
  ),
  'linux-arm64': wheel(
    'manylinux_2_17_aarch64.manylinux2014_aarch64',
    'bd1fb0c9af5f57e356d8a96928b4fe045b2e18f308ef23b481d5f970008aa722',
    'libunicorn.so.2',
  ),
  'darwin-x64': wheel(
    'macosx_10_9_x86_64',
    '2a6f738fab5fabffa56af1e7bbf16ea1e91466c342f8dc64f125bd70f36c6b80',
    'libunicorn.2.dylib',
  ),
  'darwin-arm64': wheel(
    'macosx_11_0_arm64',
    'd6c93e0f60328d8f4a1792af3f834137a28050fcc2305f2ec01efe8558a9844e',
    'libunicorn.2.dylib',
  ),
  'win32-x64': wheel(
    'win_amd64',
    'd7107500c64ce5c168fbff6bef9485b5db1350050036f4cea568650cf8bdbdf5',
    'unicorn.dll',
  ),
};

/**
 * Never throws: what went wrong is in the result, and what was there is as it was.
 * @param {Options} options
 * @returns {Promise<Result>}
 */
export async function fetchUnicorn(options) {
  const { root, force = false, environment = process.env, log = () => {}, ask = askInChild } = options;
  const target = options.target ?? `${process.platform}-${process.arch}`;
  const chosen = (options.wheels ?? WHEELS)[target];
  if (!force) {
    const present = usable(root, chosen, environment, options.systemNames ?? systemNames(), ask, log);
    if (present !== undefined) return { status: 'present', ...present };
  }
  if (chosen === undefined) {
    return { status: 'impossible', reason: `there is no official Unicorn library for ${target}` };
  }
  if (options.target === undefined && isMusl()) {
    return {
      status: 'impossible',
      reason: 'the official Unicorn library needs glibc, and this system has another C library',
    };
  }
  const reasons = [];
  const folders = [cacheFolder(environment), join(root, 'vendor')].filter((folder) => folder !== undefined);
  for (const source of options.sources ?? [pip(environment), https(environment)]) {
    try {
      log(`fetching ${chosen.name} (${source.name})`);
      const bytes = await source.get(chosen);
      verify(chosen, bytes);
      return installIn(folders, chosen, extract(bytes, chosen.entry), ask, log);
    } catch (error) {
      reasons.push(`${source.name}: ${messageOf(error)}`);
    }
  }
  return { status: 'impossible', reason: reasons.join('; ') };
}

/**
 * The library that the laboratory would use, in its own order (cpu/unicorn/find.ts).
 * @type {(root: string, wheel: Wheel | undefined, environment: Record<string, string | undefined>, systemNames: string[], ask: (path: string) => Answer, log: (line: string) => void) => { path: string, version: string } | undefined}
 */
function usable(root, wheel, environment, systemNames, ask, log) {
  const named = environment.UNICORN_LIBRARY;
  if (named !== undefined && named !== '') {
    const answer = newEnough(ask(resolve(named)));
    if ('version' in answer) return { path: resolve(named), version: answer.version };
    log(`UNICORN_LIBRARY names ${named}, which cannot be used (${answer.reason}): correct it or unset it`);
  }
  const fetched = [join(root, 'vendor'), cacheFolder(environment)]
    .flatMap((folder) => (wheel === undefined || folder === undefined ? [] : [join(folder, wheel.file)]))
    .filter((path) => existsSync(path));
  for (const path of [...fetched, ...systemNames]) {
    const answer = newEnough(ask(path));
    if ('version' in answer) return { path, version: answer.version };
  }
  return undefined;
}

/** @type {(answer: Answer) => Answer} */
function newEnough(answer) {
  if ('reason' in answer) return answer;
  const [major = 0, minor = 0] = answer.version.split('.').map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = OLDEST;
  const isEnough = major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
  return isEnough ? answer : { reason: `version ${answer.version} is older than ${OLDEST.join('.')}` };
}

/** @returns {string[]} */
function systemNames() {
  if (process.platform === 'win32') return ['unicorn.dll'];
  if (process.platform !== 'darwin') return ['libunicorn.so.2', 'libunicorn.so'];
  const folders = ['', '/opt/homebrew/lib/', '/usr/local/lib/', '/opt/local/lib/'];
  return folders.map((folder) => `${folder}libunicorn.2.dylib`);
}

/**
 * Asks a library for its version in a child process, because loading a damaged one can kill the process.
 * @type {(path: string) => Answer}
 */
function askInChild(path) {
  const child = spawnSync(process.execPath, [fileURLToPath(import.meta.url), '--ask', path], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  if (child.status === 0) return { version: child.stdout.trim() };
  if (child.status === KOFFI_MISSING)
    return { reason: 'koffi, which loads it, is not installed', isUnknown: true };
  return {
    reason: child.stderr.trim() || `it ends the process that loads it (${child.signal ?? child.status})`,
  };
}

/** @param {string} path */
function answerVersion(path) {
  let koffi;
  try {
    koffi = createRequire(import.meta.url)('koffi');
  } catch {
    process.exit(KOFFI_MISSING);
  }
  try {
    const packed = koffi.load(path).func('uc_version', 'uint32_t', ['void *', 'void *'])(null, null);
    console.log(`${packed >>> 24}.${(packed >>> 16) & 0xff}.${(packed >>> 8) & 0xff}`);
  } catch (error) {
    console.error(messageOf(error));
    process.exitCode = 1;
  }
}

/** @type {() => boolean} */
function isMusl() {
  if (process.platform !== 'linux') return false;
  const { header } = /** @type {{ header: { glibcVersionRuntime?: string } }} */ (process.report.getReport());
  return header.glibcVersionRuntime === undefined;
}

/**
 * `pip download` knows the user's index, proxy and certificates.
 * @type {(environment: Record<string, string | undefined>) => Source}
 */
export function pip(environment) {
  const commands = [
    ['pip'],
    ['pip3'],
    ['python3', '-m', 'pip'],
    ['python', '-m', 'pip'],
    ['py', '-m', 'pip'],
  ];
  return {
    name: 'pip',
    async get(wheel) {
      const run = (/** @type {string[]} */ command, /** @type {string[]} */ more) =>
        spawnSync(command[0] ?? '', [...command.slice(1), ...more], {
          encoding: 'utf8',
          env: environment,
          timeout: 300_000,
          stdio: ['ignore', 'pipe', 'pipe'],
        });
      const command = commands.find((candidate) => run(candidate, ['--version']).status === 0);
      if (command === undefined) throw new Error('there is no pip');
      const folder = mkdtempSync(join(tmpdir(), 'hotpatch-unicorn-'));
      try {
        const result = run(command, [
          ...[
            'download',
            `unicorn==${UNICORN_VERSION}`,
            '--no-deps',
            '--only-binary=:all:',
            '--platform',
            wheel.platform,
          ],
          ...['--dest', folder, '--no-cache-dir', '--disable-pip-version-check', '--no-input', '--quiet'],
        ]);
        const file = join(folder, wheel.name);
        if (result.status !== 0 || !existsSync(file)) {
          const last = result.stderr?.trim().split('\n').at(-1);
          throw new Error(
            last || result.error?.message || `${command.join(' ')} did not bring ${wheel.name}`,
          );
        }
        return readFileSync(file);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  };
}

/**
 * The simple index (PEP 503 and PEP 691) at `PIP_INDEX_URL`, or that of PyPI.
 * @type {(environment: Record<string, string | undefined>, request?: typeof fetch) => Source}
 */
export function https(environment, request = fetch) {
  return {
    name: 'HTTPS',
    async get(wheel) {
      const index = new URL(environment.PIP_INDEX_URL || 'https://pypi.org/simple');
      /** @type {Record<string, string>} */
      const authorization = {};
      if (index.username !== '') {
        const user = `${decodeURIComponent(index.username)}:${decodeURIComponent(index.password)}`;
        authorization.Authorization = `Basic ${Buffer.from(user).toString('base64')}`;
        index.username = index.password = '';
      }
      const get = async (
        /** @type {URL} */ url,
        /** @type {Record<string, string>} */ headers,
        /** @type {number} */ seconds,
      ) => {
        const own = url.origin === index.origin ? authorization : {};
        const response = await request(url, {
          headers: { ...headers, ...own },
          signal: AbortSignal.timeout(seconds * 1000),
        });
        if (!response.ok) throw new Error(`${url.host} answers ${response.status}`);
        return response;
      };
      const page = new URL(`${index.href.replace(/\/$/, '')}/unicorn/`);
      const accept = 'application/vnd.pypi.simple.v1+json, text/html;q=0.5';
      const listing = await get(page, { Accept: accept }, 30);
      const link = linkTo(wheel.name, await listing.text());
      if (link === undefined) throw new Error(`${page.host} does not list ${wheel.name}`);
      const url = new URL(link, listing.url || page);
      return new Uint8Array(await (await get(url, {}, 300)).arrayBuffer());
    },
  };
}

/** @type {(name: string, listing: string) => string | undefined} */
function linkTo(name, listing) {
  try {
    const { files } = /** @type {{ files: { filename: string, url: string }[] }} */ (JSON.parse(listing));
    return files.find(({ filename }) => filename === name)?.url;
  } catch {
    for (const [, href = ''] of listing.matchAll(/href\s*=\s*["']([^"']+)["']/gi)) {
      const link = href.replaceAll('&amp;', '&');
      if (decodeURIComponent(link.split(/[?#]/)[0] ?? '').endsWith(`/${name}`)) return link;
    }
    return undefined;
  }
}

/** @type {(wheel: Wheel, bytes: Uint8Array) => void} */
function verify(wheel, bytes) {
  const found = createHash('sha256').update(bytes).digest('hex');
  if (found !== wheel.sha256) {
    throw new Error(`${wheel.name} is refused: SHA-256 ${found} is not ${wheel.sha256}`);
  }
}

/**
 * One entry of a zip file without zip64 (APPNOTE.TXT 4.3).
 * @type {(zip: Uint8Array, name: string) => Uint8Array}
 */
export function extract(zip, name) {
  const bytes = Buffer.from(zip.buffer, zip.byteOffset, zip.byteLength);
  const end = bytes.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
  if (end < 0) throw new Error('not a zip file');
  let at = bytes.readUInt32LE(end + 16);
  for (let index = bytes.readUInt16LE(end + 10); index > 0; index--) {
    const nameLength = bytes.readUInt16LE(at + 28);
    if (bytes.toString('utf8', at + 46, at + 46 + nameLength) === name) {
      const local = bytes.readUInt32LE(at + 42);
      const start = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
      const data = bytes.subarray(start, start + bytes.readUInt32LE(at + 20));
      return bytes.readUInt16LE(at + 10) === 0 ? data : inflateRawSync(data);
    }
    at += 46 + nameLength + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32);
  }
  throw new Error(`${name} is not in the wheel`);
}

/**
 * In the first folder that takes it: a home may be missing, full or read-only.
 * @type {(folders: string[], wheel: Wheel, library: Uint8Array, ask: (path: string) => Answer, log: (line: string) => void) => Result}
 */
function installIn(folders, wheel, library, ask, log) {
  for (const folder of folders.slice(0, -1)) {
    try {
      return install(folder, wheel, library, ask);
    } catch (error) {
      if (!(error instanceof Error && 'syscall' in error)) throw error;
      log(`not in ${folder}: ${messageOf(error)}`);
    }
  }
  return install(folders.at(-1) ?? '', wheel, library, ask);
}

/**
 * Puts the library in place by a rename, after it has answered under a temporary name.
 * @type {(folder: string, wheel: Wheel, library: Uint8Array, ask: (path: string) => Answer) => Result}
 */
function install(folder, wheel, library, ask) {
  const path = join(folder, wheel.file);
  const temporary = `${path}.${process.pid}.new`;
  mkdirSync(dirname(path), { recursive: true });
  try {
    writeFileSync(temporary, library, { mode: 0o755 });
    const answer = newEnough(ask(temporary));
    // Without koffi nothing can be asked; the checksum has to do.
    if ('reason' in answer && answer.isUnknown !== true)
      throw new Error(`the library does not work here: ${answer.reason}`);
    renameSync(temporary, path);
    return { status: 'fetched', path, version: 'version' in answer ? answer.version : UNICORN_VERSION };
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** @param {unknown} error */
function messageOf(error) {
  if (!(error instanceof Error)) return String(error);
  // fetch() hides what happened in the cause.
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}

async function main() {
  const [first, path] = process.argv.slice(2);
  if (first === '--ask' && path !== undefined) return answerVersion(path);
  const root = fileURLToPath(new URL('../../', import.meta.url));
  const onInstall = process.argv.includes('--on-install');
  const force = process.argv.includes('--force');
  const result = await fetchUnicorn({ root, force, log: (line) => console.error(`unicorn: ${line}`) });
  if (result.status === 'impossible') {
    console.error(`unicorn: not fetched. ${result.reason}`);
    console.error('unicorn: the laboratory needs it to run code; "npx hotpatch doctor" says what to do.');
    if (!onInstall) process.exitCode = 3;
  } else if (!onInstall || result.status === 'fetched') {
    console.error(
      `unicorn: ${result.version} ${result.status === 'fetched' ? 'is now' : 'is'} at ${result.path}`,
    );
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  main().catch((error) => {
    console.error(`unicorn: not fetched. ${messageOf(error)}`);
    if (!process.argv.includes('--on-install')) process.exitCode = 3;
  });
}
