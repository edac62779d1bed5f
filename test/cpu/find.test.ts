import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import {
  CpuError,
  findUnicorn,
  packageRoot,
  requireUnicorn,
  searchUnicorn,
  UnicornMissing,
  unicornCacheFolder,
  unicornFileName,
} from '../../cpu/index.js';

const folder = mkdtempSync(join(tmpdir(), 'find-unicorn-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const root = packageRoot();
const file = (name: string, bytes: string | Uint8Array): string => {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
};
const none = { environment: {}, systemNames: [], packageRoot: folder };

/** A shared library made by the C compiler, or undefined when there is none on this machine. */
function compile(name: string, source: string): string | undefined {
  const path = join(folder, name);
  const made = spawnSync('cc', ['-shared', '-fPIC', '-x', 'c', '-', '-o', path], { input: source });
  return made.status === 0 ? path : undefined;
}

describe('packageRoot', () => {
  it.each(['cpu/unicorn/find.ts', 'dist/cpu/unicorn/find.js'])('is the same seen from %s', (from) => {
    expect(packageRoot(pathToFileURL(join(root, from)).href)).toBe(root);
    expect(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).name).toBe('hotpatch-lab');
  });
});

describe('findUnicorn', () => {
  const usable = findUnicorn();

  it.skipIf(usable === undefined)('finds a library of version 2.1 or newer and says where', () => {
    expect(usable?.version).toMatch(/^2\.[1-9]\d*\.\d+$/);
    expect(requireUnicorn()).toEqual(usable);
  });

  it.skipIf(usable === undefined)('takes UNICORN_LIBRARY before everything else', () => {
    const copy = join(folder, 'named.library');
    copyFileSync(usable?.path ?? '', copy);
    expect(findUnicorn({ environment: { UNICORN_LIBRARY: copy } })).toEqual({
      path: copy,
      version: usable?.version,
      origin: 'UNICORN_LIBRARY',
    });
  });

  it.skipIf(usable === undefined)(
    'takes vendor/ before the system, and the system when vendor/ is empty',
    () => {
      const other = join(folder, 'package');
      const vendored = join(other, 'vendor', unicornFileName());
      mkdirSync(join(other, 'vendor'), { recursive: true });
      const options = { ...none, packageRoot: other, systemNames: ['no-such-library', usable?.path ?? ''] };
      expect(searchUnicorn(options)).toMatchObject({
        found: { origin: 'system', path: usable?.path },
        refused: [
          { path: vendored, origin: 'vendor', reason: 'there is no such file' },
          { path: 'no-such-library', origin: 'system' },
        ],
      });
      copyFileSync(usable?.path ?? '', vendored);
      expect(searchUnicorn(options)).toEqual({
        found: { path: vendored, version: usable?.version, origin: 'vendor' },
        refused: [],
      });
    },
  );

  it.skipIf(usable === undefined)("takes what lies in the user's cache, after vendor/", () => {
    const environment = { HOME: join(folder, 'home'), USERPROFILE: join(folder, 'home') };
    const cache = unicornCacheFolder(environment) ?? '';
    mkdirSync(cache, { recursive: true });
    const path = join(cache, unicornFileName());
    copyFileSync(usable?.path ?? '', path);
    expect(searchUnicorn({ ...none, environment })).toEqual({
      found: { path, version: usable?.version, origin: 'cache' },
      refused: [expect.objectContaining({ origin: 'vendor' })],
    });
  });

  it('treats an empty UNICORN_LIBRARY as unset', () => {
    const { refused } = searchUnicorn({ ...none, environment: { UNICORN_LIBRARY: '' } });
    expect(refused.map(({ origin }) => origin)).toEqual(['vendor']);
  });

  const truncated = usable === undefined ? '' : readFileSync(usable.path).subarray(0, 1 << 20);
  it.each([
    ['an absent file', () => join(folder, 'absent'), /no such file/],
    ['a folder', () => folder, /not a file/],
    ['an empty file', () => file('empty', ''), /not a shared library \(0 bytes\)/],
    ['a text file', () => file('text', 'x'.repeat(4096)), /./],
    ['a truncated library', () => file('truncated', truncated), /truncated|not a|invalid|valid/],
    [
      'an ELF header with nothing behind it',
      () => file('header', Buffer.concat([Buffer.from('7f454c460201', 'hex'), Buffer.alloc(200, 0xff)])),
      /./,
    ],
  ])('refuses %s named by UNICORN_LIBRARY, with the reason, and looks no further', (_name, make, reason) => {
    const path = make();
    const search = searchUnicorn({ environment: { UNICORN_LIBRARY: path } });
    expect(search.found).toBeUndefined();
    expect(search.refused).toMatchObject([{ path, origin: 'UNICORN_LIBRARY' }]);
    expect(search.refused[0]?.reason).toMatch(reason);
  });

  it('refuses a library that is not Unicorn', ({ skip }) => {
    const path = compile('other.so', 'int not_unicorn(void) { return 1; }');
    if (path === undefined) return skip();
    expect(searchUnicorn({ environment: { UNICORN_LIBRARY: path } }).refused[0]?.reason).toMatch(
      /not a Unicorn library/,
    );
  });

  it.each([
    ['2.0.1', 0x020001ff, false],
    ['1.0.3', 0x01000300, false],
    ['2.1.0', 0x02010000, true],
    ['2.10.0', 0x020a0000, true],
    ['3.0.0', 0x03000000, true],
  ])('asks the library for its version: %s', (version, packed, accepted) => {
    const path = compile(
      `v${version}.so`,
      `unsigned uc_version(unsigned *a, unsigned *b) { return ${packed}u; }`,
    );
    if (path === undefined) return;
    const search = searchUnicorn({ environment: { UNICORN_LIBRARY: path } });
    if (accepted) expect(search.found).toEqual({ path, version, origin: 'UNICORN_LIBRARY' });
    else expect(search.refused).toMatchObject([{ version, reason: `version ${version} is older than 2.1` }]);
  });
});

describe('UnicornMissing', () => {
  const message = (platform: NodeJS.Platform, environment = {}): string => {
    try {
      requireUnicorn({ ...none, environment, platform });
    } catch (error) {
      expect(error).toBeInstanceOf(UnicornMissing);
      expect(error).toBeInstanceOf(CpuError);
      expect(error).toMatchObject({ rule: 'unicornMissing', status: { name: 'STATUS_DLL_NOT_FOUND' } });
      return error instanceof Error ? error.message : '';
    }
    return 'nothing was thrown';
  };

  it.each([
    ['linux', 'libunicorn.so.2', 'export UNICORN_LIBRARY='],
    ['darwin', 'libunicorn.2.dylib', 'brew install unicorn'],
    ['win32', 'unicorn.dll', 'set UNICORN_LIBRARY='],
  ] as const)('says on %s what was looked at and what to do', (platform, name, advice) => {
    const text = message(platform);
    expect(text).toContain(join(folder, 'vendor', name));
    expect(text.split('\n')[0]).toBe(
      'Unicorn 2.1 or newer is needed and none was found: "npx hotpatch doctor --fix" fetches it, once for every project.',
    );
    expect(text).toContain('fetch-unicorn.js');
    expect(text).toContain(advice);
  });

  // What they call themselves: https://docs.npmjs.com/cli/using-npm/config#user-agent
  it.each([
    ['npm/11.19.1 node/v20.20.2 linux x64 workspaces/false', 'npx hotpatch'],
    ['pnpm/12.21.0 npm/? node/v22.23.3 linux x64', 'pnpm exec hotpatch'],
    ['yarn/4.18.1 npm/? node/v20.20.2 linux x64', 'yarn hotpatch'],
    ['constructor/1', 'npx hotpatch'],
  ])('names the command of the package manager %s', (agent, command) => {
    const text = message('linux', { npm_config_user_agent: agent });
    expect(text.split('\n')[0]).toContain(`"${command} doctor --fix"`);
  });

  it('blames UNICORN_LIBRARY when that is what is wrong', () => {
    const text = message('linux', { UNICORN_LIBRARY: '/absent/libunicorn.so' });
    expect(text).toMatch(/^UNICORN_LIBRARY is set to a library that cannot be used/);
    expect(text).toContain('/absent/libunicorn.so: there is no such file');
    expect(text).toContain('unset UNICORN_LIBRARY');
    expect(message('linux')).not.toContain('unset UNICORN_LIBRARY');
  });
});
