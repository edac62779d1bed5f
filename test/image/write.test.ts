import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { richImage } from '../../campaign/fuzz/rich-image.js';
import {
  appendHotPatchTable,
  appendSection,
  encodeHotPatchTable,
  IMAGE_SCN,
  ImageBuilder,
  ImageError,
  type PeImage,
  readImage,
  setLoadConfigFields,
} from '../../image/index.js';
import { errorOf } from './error-of.js';
import { compareWithReadobj, haveReadobj } from './readobj/compare.js';
import { inRepository } from './real-images.js';

const architectures = ['x64', 'arm64', 'x86'] as const;
const folder = mkdtempSync(join(tmpdir(), 'hotpatch-write-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const open = (file: string): PeImage => readImage(readFileSync(inRepository(file)), { file });
const table = encodeHotPatchTable({
  sequenceNumber: 5,
  bases: [
    {
      originalTimeDateStamp: 1,
      originalCheckSum: 2,
      chunks: [{ direction: 'forward', type: 'FUNCTION', records: [{ rva: 0x1010, target: 0x1020 }] }],
    },
  ],
});

describe.skipIf(!haveReadobj)('what we write, llvm-readobj reads as we do', () => {
  const write = (name: string, bytes: Uint8Array) => {
    const path = join(folder, name);
    writeFileSync(path, bytes);
    return path;
  };

  test.each(architectures)('%s: an image built from nothing', (architecture) => {
    expect(
      compareWithReadobj(write(`${architecture}.sys`, richImage(architecture).bytes)).differences,
    ).toEqual([]);
  });

  test.each(architectures)("%s: lld's image with a hotpatch table appended", (architecture) => {
    const path = write(
      `${architecture}_hp.sys`,
      appendHotPatchTable(open(`test/fixtures/${architecture}/base/packets.sys`), table),
    );
    expect(compareWithReadobj(path).differences).toEqual([]);
    const output = execFileSync('llvm-readobj-22', ['--coff-load-config', path], { encoding: 'utf8' });
    const image = readImage(readFileSync(path));
    const rva = image.sections.find(({ name }) => name === '.hpat')?.virtualAddress ?? 0;
    expect(output).toContain(`HotPatchTableOffset: 0x${rva.toString(16).toUpperCase()}`);
  });
});

describe('appending a hotpatch table', () => {
  test.each(architectures)(
    '%s: only headers, one load-config field and the new section differ',
    (architecture) => {
      const before = open(`test/fixtures/${architecture}/base/demo.dll`);
      const after = readImage(appendHotPatchTable(before, table));
      expect(after.hotPatch?.sequenceNumber).toBe(5);
      expect(after.computedCheckSum).toBe(after.optionalHeader.checkSum);
      expect(after.optionalHeader.sizeOfImage).toBe(before.optionalHeader.sizeOfImage + 0x1000);
      expect(after.sections.at(-1)).toMatchObject({
        name: '.hpat',
        characteristics: IMAGE_SCN.CNT_INITIALIZED_DATA | IMAGE_SCN.MEM_READ,
      });

      const changed: string[] = [];
      for (const section of before.sections) {
        const [old, now] = [
          before.read(section.virtualAddress, section.fileSize),
          after.read(section.virtualAddress, section.fileSize),
        ];
        for (let i = 0; i < old.length; i++)
          if (old[i] !== now[i]) changed.push(`${section.name}+0x${i.toString(16)}`);
      }
      const field = (before.loadConfig?.rva ?? 0) + (before.loadConfig?.offsetOf('hotPatchTableOffset') ?? 0);
      const inRdata = field - (before.sectionAt(field)?.virtualAddress ?? 0);
      expect(changed).toEqual([`.rdata+0x${(inRdata + 1).toString(16)}`]);
    },
  );

  test('the original is left as it was', () => {
    const before = open('test/fixtures/x64/base/demo.dll');
    const copy = Buffer.from(before.bytes);
    appendHotPatchTable(before, table);
    expect(Buffer.from(before.bytes).equals(copy)).toBe(true);
  });

  test('it can be done again: the newer table counts', () => {
    const once = readImage(appendHotPatchTable(richImage('x64').image, table));
    const newer = encodeHotPatchTable({ sequenceNumber: 6, bases: [] });
    expect(readImage(appendHotPatchTable(once, newer)).hotPatch?.sequenceNumber).toBe(6);
  });

  const refusals: readonly [string, () => PeImage, RegExp][] = [
    [
      'a signed image',
      () => open('node_modules/node-pty/prebuilds/win32-x64/conpty/conpty.dll'),
      /write\.signed/,
    ],
    [
      'an image without load configuration',
      () => new ImageBuilder('x64').code('f', [0xc3]).build().image,
      /loadConfig\.absent/,
    ],
    [
      'a load configuration that is too short',
      () => new ImageBuilder('x86').data('d', [0]).loadConfig({}, 0x94).build().image,
      /loadConfig\.size/,
    ],
    [
      'headers without room',
      () => fillHeaders(new ImageBuilder('arm64').data('d', [0]).loadConfig().build().bytes),
      /write\.headerRoom/,
    ],
  ];
  test.each(refusals)('%s is refused', (_, image, message) => {
    expect(() => appendHotPatchTable(image(), table)).toThrow(message);
    expect(() => appendHotPatchTable(image(), table)).toThrow(ImageError);
    expect(errorOf(() => appendHotPatchTable(image(), table)).hint).toBeDefined();
  });
});

/** Writes into the place of the next section header. */
function fillHeaders(bytes: Uint8Array): PeImage {
  const image = readImage(bytes);
  bytes[image.headers.sectionTableOffset + 40 * image.sections.length] = 1;
  return readImage(bytes);
}

test('a section of code counts as code', () => {
  const before = richImage('x64').image;
  const { bytes, rva } = appendSection(before, {
    name: '.more',
    data: Uint8Array.of(0xc3),
    characteristics: IMAGE_SCN.CNT_CODE | IMAGE_SCN.MEM_EXECUTE | IMAGE_SCN.MEM_READ,
  });
  const after = readImage(bytes);
  expect(Array.from(after.read(rva, 1))).toEqual([0xc3]);
  expect(after.optionalHeader.sizeOfCode).toBe(
    before.optionalHeader.sizeOfCode + before.optionalHeader.fileAlignment,
  );
  expect(() =>
    appendSection(before, { name: 'much too long', data: new Uint8Array(0), characteristics: 0 }),
  ).toThrow(/write\.sectionName/);
});

test('nothing is appended to a signed image, and none of its fields is set', () => {
  const signed = open('node_modules/node-pty/prebuilds/win32-arm64/conpty/conpty.dll');
  const section = { name: '.more', data: new Uint8Array(1), characteristics: IMAGE_SCN.MEM_READ };
  expect(errorOf(() => appendSection(signed, section)).rule).toBe('write.signed');
  expect(errorOf(() => setLoadConfigFields(signed, { guardFlags: 0 })).rule).toBe('write.signed');
});

test('a file that was read into a Buffer, anywhere in its memory, stays as it is', () => {
  const file = readFileSync(inRepository('test/fixtures/x64/base/packets.sys'));
  const inside = Buffer.alloc(file.length + 24).fill(0xee);
  file.copy(inside, 8);
  const before = Uint8Array.from(inside);
  const image = readImage(inside.subarray(8, 8 + file.length));
  const written = [
    appendHotPatchTable(image, table),
    setLoadConfigFields(image, { hotPatchTableOffset: 0x1234 }),
    appendSection(image, { name: '.more', data: Uint8Array.of(1), characteristics: IMAGE_SCN.MEM_READ })
      .bytes,
  ];
  expect(Uint8Array.from(inside)).toEqual(before);
  for (const bytes of written)
    expect(readImage(bytes).optionalHeader.checkSum).toBe(readImage(bytes).computedCheckSum);
  expect(readImage(written[1] ?? inside).loadConfig?.hotPatchTableOffset).toBe(0x1234);
});

test('load-config fields of any width can be set', () => {
  const { image } = richImage('x64');
  const bytes = setLoadConfigFields(image, {
    guardFlags: 0x12345678,
    securityCookie: 0x1234_5678_9abc_def0n,
    dependentLoadFlags: 0x800,
  });
  const after = readImage(bytes);
  expect(after.loadConfig).toMatchObject({
    guardFlags: 0x12345678,
    securityCookie: 0x1234_5678_9abc_def0n,
    dependentLoadFlags: 0x800,
  });
  expect(after.computedCheckSum).toBe(after.optionalHeader.checkSum);
});

describe('ImageBuilder', () => {
  test.each(architectures)('%s: parts, their addresses and symbols', (architecture) => {
    const built = richImage(architecture);
    expect(built.image.architecture).toBe(architecture);
    expect(built.image.optionalHeader.addressOfEntryPoint).toBe(built.rva('answer'));
    expect(built.address('answer')).toBe(built.image.optionalHeader.imageBase + BigInt(built.rva('answer')));
    expect(built.symbols.byName('answer')).toMatchObject({ rva: built.rva('answer'), kind: 'function' });
    expect(built.symbols.byAddress(built.rva('answer') + 1)).toMatchObject({ offset: 1 });
    expect(built.symbols.byName('__imp_DbgPrint')?.rva).toBe(built.image.imports[0]?.functions[0]?.iatRva);
  });

  test.each([
    ['x64', 6, 0xcc],
    ['x86', 6, 0xcc],
    ['arm64', 0, 0],
  ] as const)(
    '%s: %i bytes of padding before each function, filled with 0x%s',
    (architecture, padding, fill) => {
      const built = richImage(architecture);
      for (const name of ['answer', 'second']) {
        expect(built.rva(name) % 16).toBe(0);
        if (padding === 0) continue;
        expect(Array.from(built.image.read(built.rva(name) - padding, padding))).toEqual(
          Array(padding).fill(fill),
        );
      }
    },
  );

  test('code may depend on the layout', () => {
    const built = new ImageBuilder('x64')
      .code('caller', (at) => [0xe8, ...dword(at.rva('callee') - at.rva('caller') - 5), 0xc3])
      .code('callee', [0xc3])
      .build();
    const displacement = built.image.u32At(built.rva('caller') + 1, 'call');
    expect(built.rva('caller') + 5 + displacement).toBe(built.rva('callee'));
  });

  test.each([
    [
      'a name that is not there',
      () => new ImageBuilder('x64').pointers('p', ['missing']).build(),
      'build.unknown',
      'missing',
    ],
    [
      'a name that is there twice',
      () => new ImageBuilder('x64').data('d', [1]).data('d', [2]),
      'build.duplicate',
      'd',
    ],
    [
      'contents that change their length',
      () =>
        new ImageBuilder('x64')
          .data('d', (at) => (at.rva('d') === 0x1000 ? [1] : [1, 2]))
          .code('f', [0xc3])
          .build(),
      'build.length',
      'd',
    ],
  ])('%s is an error of the caller', (_, run: () => unknown, rule, place) => {
    expect(run).toThrow(expect.objectContaining({ name: 'ImageError', rule, place }));
  });

  test('without relocations the image says so', () => {
    const { image } = new ImageBuilder('x86', { relocationsStripped: true }).pointers('p', ['p']).build();
    expect(image.isRelocationStripped).toBe(true);
    expect([...image.relocations]).toEqual([]);
  });
});

function dword(value: number): number[] {
  return [...new Uint8Array(Int32Array.of(value).buffer)];
}
