import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixture, fixtureBytes } from '../support.js';
import { hotpatch } from './hotpatch.js';

const BASE = fixture('x64/base/demo.dll');
const IMPORT = ['--with', fixture('x64/hpimport.dll')];
const PATCH = ['--patch', fixture('x64/patch/demo_hp.dll')];

describe('hotpatch call', () => {
  const cases: [string, string[], object][] = [
    ['the base', [], { result: '0x77', patches: [] }],
    [
      'the patched base',
      PATCH,
      { result: '0x93', patches: [{ state: 'applied', status: 'STATUS_SUCCESS', functions: 6 }] },
    ],
    [
      'the base after a rollback',
      [...PATCH, '--unpatch'],
      { result: '0x77', patches: [{ state: 'reverted' }] },
    ],
    ['a function by its module', ['--repeat', '2'], { results: [{ result: '0x77' }, {}] }],
  ];
  it.each(cases)('calls %s', async (_name, flags, expected) => {
    const { code, json } = await hotpatch(
      'call',
      BASE,
      'hp_entry',
      '0',
      '3',
      '4',
      ...IMPORT,
      ...flags,
      '--json',
    );
    expect(json).toMatchObject({ image: 'demo.dll', function: 'hp_entry', architecture: 'x64', ...expected });
    expect(code).toBe(0);
  });

  it('applies the patch in the middle of a call', async () => {
    const where = ['--pause-at', 'demo!dispatch+0x3'];
    const { code, json } = await hotpatch(
      'call',
      BASE,
      'hp_entry',
      '0',
      '3',
      '4',
      ...IMPORT,
      ...PATCH,
      ...where,
      '--json',
    );
    expect(code).toBe(0);
    expect(json).toMatchObject({ paused: { at: 'demo!dispatch+0x3' }, fresh: { result: '0x93' } });
  });

  it('lets the paused function itself finish in old code', async () => {
    const { json } = await hotpatch(
      ...['call', BASE, 'leaf_opaque', ...IMPORT, ...PATCH, '--pause-at', 'leaf_opaque+5', '--json'],
    );
    expect(json).toMatchObject({ paused: { at: 'demo!leaf_opaque+0x5', result: '0x2a' }, result: '0x2b' });
  });

  it('reports the planted bug as a fault, with where, what and who called', async () => {
    const { code, stderr, json } = await hotpatch(
      'call',
      BASE,
      'hp_entry',
      '3',
      '9',
      '4',
      ...IMPORT,
      '--json',
    );
    expect(code).toBe(1);
    expect(stderr).toMatch(/access violation: execute of .* called from demo!hp_entry\+0x/);
    expect(json).toMatchObject({
      error: { rule: 'guestCrash', status: { name: 'STATUS_ACCESS_VIOLATION' } },
    });
    const patched = await hotpatch('call', BASE, 'hp_entry', '3', '9', '4', ...IMPORT, ...PATCH, '--json');
    expect(patched.json).toMatchObject({ result: '0xab' });
  });

  it('passes text, files, buffers and numbers', async () => {
    const { json, code } = await hotpatch(
      'call',
      BASE,
      'copy_name',
      'buf:64',
      '"hello"',
      '5',
      ...IMPORT,
      '--json',
    );
    expect(code).toBe(0);
    expect(json).toMatchObject({ result: '0x5' });
    const text = await hotpatch('call', BASE, 'copy_name', 'buf:64', '"hello"', '5', ...IMPORT);
    expect(text.stdout).toContain(Buffer.from('hello').toString('hex'));
    const minusOne = await hotpatch('call', BASE, 'dispatch', '0xffffffff', '1', '2', ...IMPORT, '--json');
    expect(minusOne.json).toMatchObject({ result: '0xffffffff' });
  });

  it('says when a patch is for another base, changes nothing, and fails', async () => {
    const flags = ['--patch', fixture('x64/patch/packets_hp.sys')];
    const { code, stderr, json } = await hotpatch(
      'call',
      BASE,
      'hp_entry',
      '0',
      '3',
      '4',
      ...IMPORT,
      ...flags,
      '--json',
    );
    expect(code).toBe(1);
    expect(json).toMatchObject({
      result: '0x77',
      patches: [{ state: 'deferred', status: 'STATUS_PATCH_DEFERRED' }],
    });
    const text = await hotpatch('call', BASE, 'hp_entry', '0', '3', '4', ...IMPORT, ...flags);
    expect(text.stderr).toContain('nothing was changed');
    expect(stderr).not.toContain('    at ');
  });
});

describe('hotpatch call with unusable input', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'hotpatch-test-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const write = (name: string, bytes: Uint8Array) => {
    const path = join(folder, name);
    writeFileSync(path, bytes);
    return path;
  };
  const patched = () => fixtureBytes('x64/patch/demo_hp.dll');
  const loadConfigOffset = (bytes: Uint8Array) => {
    const view = new DataView(bytes.buffer);
    const pe = view.getUint32(0x3c, true);
    const rva = view.getUint32(pe + 24 + 112 + 8 * 10, true);
    const sections = pe + 24 + view.getUint16(pe + 20, true);
    for (let at = sections; ; at += 40) {
      const start = view.getUint32(at + 12, true);
      if (rva >= start && rva < start + view.getUint32(at + 16, true))
        return rva - start + view.getUint32(at + 20, true);
    }
  };

  const cases: [string, () => string, number, RegExp][] = [
    ['a patch without a table', () => fixture('x64/fixed/demo.dll'), 1, /hotPatch\.absent/],
    [
      'a truncated patch',
      () => write('truncated.dll', patched().subarray(0, 0x1900)),
      2,
      /STATUS_INVALID_IMAGE_FORMAT|hotPatch|section/,
    ],
    [
      'a table with a wild offset',
      () => {
        const bytes = patched();
        new DataView(bytes.buffer).setUint32(loadConfigOffset(bytes) + 0xf0, 0x7fffff00, true);
        return write('wild.dll', bytes);
      },
      1,
      /hotPatch\.offset/,
    ],
    ['a file that is no image', () => write('text.dll', Buffer.from('not an image')), 2, /text\.dll/],
    ['a file that is not there', () => join(folder, 'absent.dll'), 2, /there is no such file/],
    [
      'a patch for another processor',
      () => fixture('arm64/patch/demo_hp.dll'),
      1,
      /DEFERRED|identity\.machine|machine/,
    ],
  ];
  it.each(cases)('%s', async (_name, patch, expected, message) => {
    const { code, stderr, stdout } = await hotpatch(
      'call',
      BASE,
      'hp_entry',
      '0',
      '3',
      '4',
      ...IMPORT,
      '--patch',
      patch(),
      '--json',
    );
    expect(`${stderr}${stdout}`).toMatch(message);
    expect(code).toBe(expected);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(() => JSON.parse(stdout)).not.toThrow();
  });

  it.each([
    [['call', BASE, 'no_such_function'], 2, /there is no symbol 'no_such_function'/],
    [['call', BASE, 'hp_entry', 'seven'], 2, /neither a number/],
    [
      ['call', BASE, 'hp_entry', '0', '3', '4', ...IMPORT, '--pause-at', 'fib'],
      2,
      /without ever reaching demo!fib/,
    ],
    [
      ['call', BASE, 'fib', '1', '--pause-at', 'fib+5'],
      2,
      /without ever reaching demo!fib\+0x5, which lies inside the instruction at demo!fib\+0x4/,
    ],
    [['call', BASE], 2, /missing required argument/],
    [['frobnicate'], 2, /unknown command/],
    [['call', BASE, 'hp_entry', '--frobnicate'], 2, /unknown option/],
    [['call', '/', 'hp_entry'], 2, /folder/],
  ] as const)('%j', async (args, expected, message) => {
    const { code, stderr } = await hotpatch(...args);
    expect(stderr).toMatch(message);
    expect(code).toBe(expected);
    expect(stderr).not.toMatch(/\n\s+at /);
  });
});
