import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { unicornCacheFolder, unicornFileName } from '../../cpu/index.js';
import {
  type Answer,
  cacheFolder,
  extract,
  fetchUnicorn,
  https,
  type Source,
  UNICORN_VERSION,
  WHEELS,
  type Wheel,
} from '../../scripts/setup/fetch-unicorn.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'fetch-unicorn-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** A zip file of entries, each stored or deflated. */
function zip(entries: Record<string, string>, isDeflated = true): Uint8Array {
  const files: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, text] of Object.entries(entries)) {
    const data = isDeflated ? deflateRawSync(text) : Buffer.from(text);
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(name.length, 26);
    local.writeUInt16LE(3, 28);
    files.push(local, Buffer.from(name), Buffer.alloc(3), data);
    const central = Buffer.alloc(46);
    central.writeUInt32LE(0x02014b50, 0);
    central.writeUInt16LE(isDeflated ? 8 : 0, 10);
    central.writeUInt32LE(data.length, 20);
    central.writeUInt32LE(text.length, 24);
    central.writeUInt16LE(name.length, 28);
    central.writeUInt32LE(offset, 42);
    directory.push(central, Buffer.from(name));
    offset += 30 + name.length + 3 + data.length;
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(Object.keys(entries).length, 10);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...files, ...directory, end]);
}

const LIBRARY = 'the library';
const good = zip({ 'unicorn/__init__.py': 'x', 'unicorn/lib/libunicorn.so.2': LIBRARY });
const wheel: Wheel = {
  name: 'unicorn-test.whl',
  platform: 'test',
  sha256: createHash('sha256').update(good).digest('hex'),
  entry: 'unicorn/lib/libunicorn.so.2',
  file: 'libunicorn.so.2',
};
const source = (bytes: Uint8Array | Error, name = 'source'): Source & { asked: number } => ({
  name,
  asked: 0,
  async get() {
    this.asked++;
    if (bytes instanceof Error) throw bytes;
    return bytes;
  },
});
/** Only files with the right contents are libraries. */
const ask = (path: string): Answer =>
  existsSync(path) && readFileSync(path, 'utf8') === LIBRARY
    ? { version: '2.1.4' }
    : { reason: 'not a library' };
const options = () => ({
  root,
  target: 'test',
  wheels: { test: wheel },
  systemNames: [],
  environment: {},
  ask,
});
const vendor = () => (existsSync(join(root, 'vendor')) ? readdirSync(join(root, 'vendor')) : []);

describe('fetchUnicorn', () => {
  it('takes only the library out of a wheel with the right checksum', async () => {
    const result = await fetchUnicorn({ ...options(), sources: [source(good)] });
    expect(result).toEqual({
      status: 'fetched',
      path: join(root, 'vendor', 'libunicorn.so.2'),
      version: '2.1.4',
    });
    expect(vendor()).toEqual(['libunicorn.so.2']);
    expect(readFileSync(join(root, 'vendor', 'libunicorn.so.2'), 'utf8')).toBe(LIBRARY);
  });

  it('keeps a usable library that is in vendor/ already, without asking anyone', async () => {
    await fetchUnicorn({ ...options(), sources: [source(good)] });
    const untouched = source(good);
    expect(await fetchUnicorn({ ...options(), sources: [untouched] })).toMatchObject({ status: 'present' });
    expect(untouched.asked).toBe(0);
    expect(await fetchUnicorn({ ...options(), force: true, sources: [untouched] })).toMatchObject({
      status: 'fetched',
    });
    expect(untouched.asked).toBe(1);
  });

  it.each<[string, Partial<Parameters<typeof fetchUnicorn>[0]>]>([
    ['UNICORN_LIBRARY', { environment: { UNICORN_LIBRARY: '/named' } }],
    ['the system', { systemNames: ['/named'] }],
  ])('does nothing when %s has a usable one', async (_name, more) => {
    const untouched = source(good);
    const named = (path: string): Answer =>
      path.endsWith('named') ? { version: '2.1.0' } : { reason: 'absent' };
    const result = await fetchUnicorn({ ...options(), ...more, ask: named, sources: [untouched] });
    expect(result).toMatchObject({ status: 'present', version: '2.1.0' });
    expect(untouched.asked).toBe(0);
    expect(vendor()).toEqual([]);
  });

  it('fetches when the one that is there is too old, and says that UNICORN_LIBRARY is wrong', async () => {
    const lines: string[] = [];
    const result = await fetchUnicorn({
      ...options(),
      environment: { UNICORN_LIBRARY: '/old' },
      ask: (path) => (path.endsWith('old') ? { version: '2.0.1' } : ask(path)),
      sources: [source(good)],
      log: (line) => lines.push(line),
    });
    expect(result).toMatchObject({ status: 'fetched' });
    expect(lines[0]).toMatch(
      /UNICORN_LIBRARY names \/old, which cannot be used \(version 2\.0\.1 is older than 2\.1\)/,
    );
  });

  const corrupted = Uint8Array.from(good).fill(0, 40, 44);
  it.each<[string, Source[], RegExp]>([
    ['the checksum is wrong', [source(corrupted)], /refused: SHA-256 [0-9a-f]{64} is not/],
    ['there is no network', [source(new Error('getaddrinfo ENOTFOUND'))], /ENOTFOUND/],
    [
      'both sources fail',
      [source(new Error('no pip'), 'pip'), source(corrupted, 'HTTPS')],
      /pip: no pip; HTTPS: .*refused/,
    ],
  ])('leaves vendor/ as it was when %s', async (_name, sources, reason) => {
    mkdirSync(join(root, 'vendor'));
    writeFileSync(join(root, 'vendor', 'libunicorn.so.2'), 'older');
    const result = await fetchUnicorn({ ...options(), sources });
    expect(result).toMatchObject({ status: 'impossible', reason: expect.stringMatching(reason) });
    expect(vendor()).toEqual(['libunicorn.so.2']);
    expect(readFileSync(join(root, 'vendor', 'libunicorn.so.2'), 'utf8')).toBe('older');
  });

  it('takes the second source when the first one fails or lies', async () => {
    for (const first of [new Error('no pip'), corrupted]) {
      const result = await fetchUnicorn({
        ...options(),
        force: true,
        sources: [source(first), source(good)],
      });
      expect(result).toMatchObject({ status: 'fetched' });
    }
  });

  it('refuses a library that does not work here', async () => {
    const other = zip({ 'unicorn/lib/libunicorn.so.2': 'for another machine' });
    const wheels = { test: { ...wheel, sha256: createHash('sha256').update(other).digest('hex') } };
    const result = await fetchUnicorn({ ...options(), wheels, sources: [source(other)] });
    expect(result).toMatchObject({
      status: 'impossible',
      reason: expect.stringContaining('does not work here'),
    });
    expect(vendor()).toEqual([]);
  });

  it('trusts the checksum alone when there is nothing to ask the library with', async () => {
    const result = await fetchUnicorn({
      ...options(),
      ask: () => ({ reason: 'no koffi', isUnknown: true }),
      sources: [source(good)],
    });
    expect(result).toMatchObject({ status: 'fetched', version: UNICORN_VERSION });
  });

  it('says so on a platform without an official library', async () => {
    const result = await fetchUnicorn({ ...options(), target: 'sunos-sparc', sources: [source(good)] });
    expect(result).toEqual({
      status: 'impossible',
      reason: 'there is no official Unicorn library for sunos-sparc',
    });
  });
});

describe("the user's cache", () => {
  const environment = () => ({ HOME: join(root, 'home') });
  const cached = () => join(cacheFolder(environment()) ?? '', 'libunicorn.so.2');

  it('gets the library, once for every project', async () => {
    const first = await fetchUnicorn({ ...options(), environment: environment(), sources: [source(good)] });
    expect(first).toMatchObject({ status: 'fetched', path: cached() });
    expect(vendor()).toEqual([]);
    const untouched = source(good);
    const other = { ...options(), root: join(root, 'other'), environment: environment() };
    expect(await fetchUnicorn({ ...other, sources: [untouched] })).toMatchObject({
      status: 'present',
      path: cached(),
    });
    expect(untouched.asked).toBe(0);
  });

  it('comes after vendor/, which a project may have', async () => {
    await fetchUnicorn({ ...options(), environment: environment(), sources: [source(good)] });
    await fetchUnicorn({ ...options(), force: true, sources: [source(good)] });
    const result = await fetchUnicorn({ ...options(), environment: environment(), sources: [] });
    expect(result).toMatchObject({ status: 'present', path: join(root, 'vendor', 'libunicorn.so.2') });
  });

  it('may be where nothing can be written: then vendor/ gets it, and that is said', async () => {
    writeFileSync(join(root, 'file'), '');
    const lines: string[] = [];
    const result = await fetchUnicorn({
      ...{ ...options(), sources: [source(good)], log: (line: string) => lines.push(line) },
      environment: { HOME: join(root, 'file') },
    });
    expect(result).toMatchObject({ status: 'fetched', path: join(root, 'vendor', 'libunicorn.so.2') });
    expect(lines.join('\n')).toMatch(/^not in .*file.*: ENOTDIR/m);
  });

  it.each([
    ['linux', { HOME: '/home/a' }, '/home/a/.cache'],
    ['linux', { HOME: '/home/a', XDG_CACHE_HOME: '/var/cache/a' }, '/var/cache/a'],
    ['linux', { HOME: '/home/a', XDG_CACHE_HOME: 'relative' }, '/home/a/.cache'],
    ['linux', { HOME: '' }, undefined],
    ['darwin', { HOME: '/Users/a', XDG_CACHE_HOME: '/x' }, '/Users/a/Library/Caches'],
    ['win32', { LOCALAPPDATA: '/local', USERPROFILE: '/profile' }, '/local'],
    ['win32', { USERPROFILE: '/profile' }, '/profile/AppData/Local'],
    ['win32', {}, undefined],
  ] as const)('on %s with %j is below %s', (platform, variables, expected) => {
    const folder = cacheFolder(variables, platform, 'x64');
    const name = `unicorn-${UNICORN_VERSION}-${platform}-x64`;
    expect(folder).toBe(expected === undefined ? undefined : join(expected, 'hotpatch-lab', name));
    expect(unicornCacheFolder(variables, platform, 'x64')).toBe(folder);
  });
});

describe('extract', () => {
  it('reads deflated and stored entries', () => {
    for (const isDeflated of [true, false]) {
      const bytes = extract(zip({ a: 'first', 'b/c': 'second' }, isDeflated), 'b/c');
      expect(Buffer.from(bytes).toString()).toBe('second');
    }
  });

  it('says what is missing', () => {
    expect(() => extract(good, 'absent')).toThrow('absent is not in the wheel');
    expect(() => extract(new Uint8Array(100), 'absent')).toThrow('not a zip file');
  });
});

describe('the simple index', () => {
  const url = 'https://files.example/packages/unicorn-test.whl';
  const page = (text: string, asked: [string, Headers][]) =>
    (async (input, init) => {
      asked.push([String(input), new Headers(init?.headers)]);
      return String(input).includes('.whl') ? new Response(good) : new Response(text);
    }) as typeof fetch;

  it.each([
    [
      'JSON (PEP 691)',
      JSON.stringify({
        files: [
          { filename: 'other.whl', url: 'x' },
          { filename: wheel.name, url },
        ],
      }),
    ],
    ['HTML (PEP 503)', `<a href="other.whl">other</a> <a href="${url}#sha256=00">unicorn-test.whl</a>`],
    [
      'HTML with a relative link',
      '<a href="../../packages/unicorn-test.whl?a=1&amp;b=2">unicorn-test.whl</a>',
    ],
  ])('is read as %s', async (_name, text) => {
    const asked: [string, Headers][] = [];
    expect(await https({}, page(text, asked)).get(wheel)).toEqual(Uint8Array.from(good));
    expect(asked[0]?.[0]).toBe('https://pypi.org/simple/unicorn/');
    expect(asked[1]?.[0]).toMatch(/packages\/unicorn-test\.whl/);
  });

  it('may be another one by PIP_INDEX_URL, whose password goes to no other host', async () => {
    const asked: [string, Headers][] = [];
    const environment = { PIP_INDEX_URL: 'https://user:pass%20word@mirror.example/simple/' };
    await https(environment, page(JSON.stringify({ files: [{ filename: wheel.name, url }] }), asked)).get(
      wheel,
    );
    expect(asked.map(([address]) => address)).toEqual(['https://mirror.example/simple/unicorn/', url]);
    expect(asked[0]?.[1].get('authorization')).toBe(
      `Basic ${Buffer.from('user:pass word').toString('base64')}`,
    );
    expect(asked[1]?.[1].get('authorization')).toBeNull();
  });

  it('reports an answer that is no success, and a listing without the wheel', async () => {
    const refuse = (async () => new Response('', { status: 503 })) as typeof fetch;
    await expect(https({}, refuse).get(wheel)).rejects.toThrow('pypi.org answers 503');
    await expect(https({}, page('<html></html>', [])).get(wheel)).rejects.toThrow(
      'does not list unicorn-test.whl',
    );
  });
});

it.each(Object.entries(WHEELS))(
  'the wheel of %s is pinned, and its library is what the laboratory looks for',
  (target, pinned) => {
    expect(pinned.name).toMatch(new RegExp(`^unicorn-${UNICORN_VERSION}-cp37-abi3-.*\\.whl$`));
    expect(pinned.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(pinned.file).toBe(unicornFileName(target.split('-')[0] as NodeJS.Platform));
    expect(pinned.entry).toBe(`unicorn/lib/${pinned.file}`);
  },
);
