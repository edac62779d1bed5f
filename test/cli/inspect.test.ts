import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { richImage } from '../../campaign/fuzz/rich-image.js';
import { hotpatch } from './hotpatch.js';

const folder = mkdtempSync(join(tmpdir(), 'hotpatch-inspect-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const file = (name: string, bytes: Uint8Array): string => {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
};
const rich = file('rich.sys', richImage('x64').bytes);

test('the hotpatch table, chunk by chunk', async () => {
  const { code, stdout, stderr } = await hotpatch('inspect', rich, '--only', 'hotpatch');
  expect(stderr).toBe('');
  expect(code).toBe(0);
  expect(stdout.replace(rich, 'rich.sys')).toBe(
    `rich.sys: PE32+ image for AMD64, 4608 bytes, not signed

Hotpatch table at 0x21c0 (version 4, 0xa0 bytes)
  sequence number        3
  min sequence number    0
  flags                  0x0
  extra patch size       1 dword of original bytes in each record
  base 0
    sequence number      3
    flags                0x0
    original time stamp  0x5f000000  2020-07-04 04:05:20 UTC
    original check sum   0x1234
    SHA-256              ${'01'.repeat(32)}
    SHA-1                ${'02'.repeat(20)}
    chunk 0  backward ABSOLUTE, 1 record: patch location -> base target
         0  00002008 -> 00003000   original 00 00 00 00
    chunk 1  forward FUNCTION, 1 record: base location -> patch target
         0  00001010 -> 00001010 answer   original b8 2a 00 00
`,
  );
});

test('everything else: one title per part', async () => {
  const { stdout } = await hotpatch('inspect', rich);
  expect(stdout.split('\n').filter((line) => /^[A-Z]/.test(line))).toEqual([
    'Headers',
    'Sections (5)',
    'Imports (4 from 2 modules)',
    'Exports of rich.sys (4)',
    'Base relocations (5 DIR64)',
    'Debug directory (2 entries)',
    'Load configuration at 0x2260 (0x148 bytes, directory says 0x148)',
    'Function table (1 entries)',
    'Hotpatch table at 0x21c0 (version 4, 0xa0 bytes)',
  ]);
  expect(stdout).toContain('    00002028  DbgPrint\n    00002030  ordinal 7');
  expect(stdout).toMatch(/ 10 {2}0000[0-9a-f]{4} {2}forwarded -> NTDLL\.RtlAllocateHeap\n/);
  expect(stdout).toContain('ex dllcharacteristics  0x80  HOTPATCH_COMPATIBLE');
});

test('--json: what the contract promises, and the rest of the image', async () => {
  const { json, code } = await hotpatch('inspect', 'test/fixtures/x64/patch/packets_hp.sys', '--json');
  expect(code).toBe(0);
  expect(json).toMatchObject({
    format: 'PE32+',
    machine: 'AMD64',
    checkSum: { valid: true },
    hotPatch: {
      version: 4,
      sequenceNumber: 1,
      bases: [
        {
          sequenceNumber: 1,
          chunks: expect.arrayContaining([
            expect.objectContaining({ direction: 'forward', type: 'FUNCTION' }),
          ]),
        },
      ],
      findings: [],
    },
    problems: [],
  });
  expect(json).toHaveProperty('optionalHeader.imageBase', '0x140000000');
  expect(json).toHaveProperty('hotPatch.bases.0.chunks.0.records.0.rva', expect.any(Number));
});

test('--json of an image without a table: hotPatch is null', async () => {
  const { json } = await hotpatch('inspect', 'test/fixtures/x86/base/packets.sys', '--json');
  expect(json).toMatchObject({ hotPatch: null, format: 'PE32' });
});

test('--all lists relocations, unwind data and guard tables', async () => {
  const { json } = await hotpatch('inspect', rich, '--all', '--json');
  expect(json).toMatchObject({
    relocations: { count: 5, entries: [{ rva: 0x2008, type: 'DIR64' }, {}, {}, {}, {}] },
    functionTable: {
      count: 1,
      entries: [
        {
          unwind: {
            codes: [
              { op: 'ALLOC_SMALL', size: 40 },
              { op: 'PUSH_NONVOL', register: 'rbx' },
            ],
          },
        },
      ],
    },
    guard: { functions: { count: 2, entries: [{ rva: 0x1010 }, { rva: 0x1020 }] } },
  });
});

describe('what cannot be read', () => {
  const word = (offset: number, value: number) => {
    const bytes = richImage('x64').bytes.slice();
    new DataView(bytes.buffer).setUint32(offset, value, true);
    return bytes;
  };
  const { image } = richImage('x64');
  const inFile = (rva: number) => image.rvaToOffset(rva) ?? 0;
  const hotPatchTableOffset = inFile((image.loadConfig?.rva ?? 0) + 0xf0);
  const table = inFile(image.loadConfig?.hotPatchTableOffset ?? 0);

  test.each([
    [
      'text',
      new TextEncoder().encode('hello'),
      /not begin with MZ \(headers\.dosSignature, STATUS_INVALID_IMAGE_NOT_MZ/,
    ],
    ['an empty file', new Uint8Array(0), /headers\.dosSignature/],
    [
      'half an image',
      richImage('x64').bytes.subarray(0, 0x900),
      /sections\.rawData, STATUS_INVALID_IMAGE_FORMAT/,
    ],
    [
      'a table with a wild offset',
      word(hotPatchTableOffset, 0x7fffff00),
      /load config \+0xf0: .*\(hotPatch\.offset, STATUS_INVALID_IMAGE_FORMAT\)/,
    ],
    ['a table that ends outside the image', word(table + 4, 0x100000), /\(hotPatch\.bounds/],
    ['a table of version 9', word(table, 9), /\(hotPatch\.version/],
    [
      'a chunk with too many records',
      word(table + 0x24 + 4 + 0x20 + 52, 0x8002cfff),
      /base 0, chunk 0: .*\(chunk\.bounds/,
    ],
  ])('%s: exit code 2, what and where, no stack', async (_, bytes, message) => {
    const { code, stderr, stdout } = await hotpatch('inspect', file('broken.sys', bytes));
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
    expect(stderr + stdout).not.toMatch(/\n\s+at /);
  });

  test('a broken table does not hide the rest of the image', async () => {
    const { code, json } = await hotpatch('inspect', file('broken.sys', word(table, 9)), '--json');
    expect(code).toBe(2);
    expect(json).toMatchObject({
      hotPatch: null,
      sections: [{ name: '.text' }, {}, {}, {}, {}],
      problems: [{ part: 'hotpatch table', rule: 'hotPatch.version', place: 'hotpatch table +0x0' }],
    });
  });

  test('a table that Windows would refuse is shown with the rules it breaks', async () => {
    const { code, stdout } = await hotpatch(
      'inspect',
      file('broken.sys', word(table + 8, 0)),
      '--only',
      'hotpatch',
    );
    expect(code).toBe(0);
    expect(stdout).toContain('error: hotpatch table: SequenceNumber must not be zero');
  });

  test('no such file, no such part', async () => {
    expect(await hotpatch('inspect', 'missing.sys')).toMatchObject({ code: 2, stdout: '' });
    expect(await hotpatch('inspect', rich, '--only', 'nonsense')).toMatchObject({ code: 2, stdout: '' });
  });
});

test("Microsoft's signed DLL can be looked at", async () => {
  const { code, stdout } = await hotpatch(
    'inspect',
    'node_modules/node-pty/prebuilds/win32-arm64/conpty/conpty.dll',
  );
  expect(code).toBe(0);
  expect(stdout).toContain('PE32+ image for ARM64');
  expect(stdout).toContain(
    `${readFileSync('node_modules/node-pty/prebuilds/win32-arm64/conpty/conpty.dll').length} bytes, signed`,
  );
  expect(stdout).toContain('Hotpatch table (none)');
});
