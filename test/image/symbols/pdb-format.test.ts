import { readFileSync } from 'node:fs';
import { type ImageError, pdbMatches, readImage, readPdb } from 'hotpatch-lab/image';
import { describe, expect, test } from 'vitest';
import { streamsOf, writeMsf } from '../../../campaign/fuzz/msf-writer.js';
import { fixtures, nodePty } from './builds.js';
import { bytes, type Piece, record, tinyPdb, u16 } from './tiny-pdb.js';

const proc = (kind: number, name: string, offset: number, size: number) =>
  record(kind, 0, 0, 0, size, 0, 0, 0x1001, offset, u16(1), new Uint8Array(1), name);
const data = (kind: number, name: string, offset: number) => record(kind, 0x74, offset, u16(1), name);
const pub = (name: string, offset: number, section = 1, flags = 2) =>
  record(0x110e, flags, offset, u16(section), name);
const label = (name: string, offset: number, section = 1) =>
  record(0x1105, offset, u16(section), new Uint8Array(1), name);

const S_LPROC32 = 0x110f;
const S_GPROC32 = 0x1110;
const S_LDATA32 = 0x110c;
const S_HOTPATCHFUNC = 0x1169;
const LF_FUNC_ID = 0x1601;
const LF_STRING_ID = 0x1605;

describe('the container', () => {
  const [path = ''] = nodePty(/^winpty\.pdb$/);
  const original = readPdb(readFileSync(path));
  const streams = streamsOf(readFileSync(path));

  test.each([
    [512, false],
    [512, true],
    [4096, true],
    [8192, false],
    [65536, true],
  ])('blocks of %i bytes, scattered %s, hold the same PDB', (blockSize, scattered) => {
    const pdb = readPdb(writeMsf(streams, blockSize, scattered));
    expect(pdb.blockSize).toBe(blockSize);
    expect(pdb.guid).toBe(original.guid);
    expect(pdb.publics).toEqual(original.publics);
    expect(pdb.modules.at(-1)?.symbols).toEqual(original.modules.at(-1)?.symbols);
  });

  test('streams are found by name', () => {
    const { info } = readPdb(
      tinyPdb({
        namedStreams: [
          ['/names', 7],
          ['srcsrv', 8],
        ],
      }),
    );
    expect([...info.namedStreams]).toEqual([
      ['/names', 7],
      ['srcsrv', 8],
    ]);
  });

  const tiny = tinyPdb({});
  const changed = (offset: number, value: number) => {
    const copy = tiny.slice();
    copy.set(bytes(value), offset);
    return copy;
  };
  const withStreamSize = (stream: number, size: number) => {
    const view = new DataView(tiny.buffer);
    const blockMap = view.getUint32(52, true) * 512;
    return changed(view.getUint32(blockMap, true) * 512 + 4 + stream * 4, size);
  };
  test.each<[string, Uint8Array, string]>([
    ['an empty file', new Uint8Array(0), 'msf.magic'],
    ['an image', bytes('MZ'), 'msf.magic'],
    [
      'a PDB of Visual C++ 6',
      new TextEncoder().encode('Microsoft C/C++ program database 2.00\r\n\x1aJG\0\0'),
      'msf.magic',
    ],
    ['blocks of 1000 bytes', changed(32, 1000), 'msf.blockSize'],
    ['blocks of 256 bytes', changed(32, 256), 'msf.blockSize'],
    ['a directory larger than the file', changed(44, 0x7fffffff), 'msf.directory'],
    ['a directory outside the file', changed(52, 0x7fffffff), 'truncated'],
    ['a stream of more blocks than the file has', withStreamSize(8, 0x100000), 'msf.directory'],
    ['half the file', tiny.slice(0, tiny.length / 2), 'truncated'],
  ])('%s is refused', (_name, file, rule) => {
    expect(() => readPdb(file, { file: 'broken.pdb' })).toThrow(
      expect.objectContaining({ name: 'ImageError', rule, file: 'broken.pdb' }) as ImageError,
    );
  });
});

describe('age', () => {
  test('is that of the DBI stream: tools that add to a PDB count up the other one', () => {
    const pdb = readPdb(tinyPdb({ age: 3 }));
    expect([pdb.age, pdb.info.age]).toEqual([3, 99]);
    expect(pdb.guid).toBe('33221100-5544-7766-8899-AABBCCDDEEFF');
  });
});

describe('an image and its PDB', () => {
  const [path = ''] = fixtures(/^demo\.dll$/);
  const image = readImage(readFileSync(path));
  const guid = image.debug.find(({ codeView }) => codeView)?.data.subarray(4, 20) ?? new Uint8Array(16);
  test.each<[string, Parameters<typeof tinyPdb>[0], boolean]>([
    ['same GUID, same age', { guid }, true],
    ['same GUID, later age', { guid, age: 2 }, false],
    ['other GUID, same age', {}, false],
  ])('%s', (_name, pdb, matches) => {
    expect(pdbMatches(image, readPdb(tinyPdb(pdb)))).toBe(matches);
  });
});

describe('section contributions', () => {
  const entry: Piece[] = [u16(1), u16(0), 0x20, 0x30, 0x60500020, u16(0), u16(0), 0xdeadbeef, 0xcafebabe];
  const contribution = {
    section: 1,
    offset: 0x20,
    size: 0x30,
    characteristics: 0x60500020,
    module: 0,
    dataCrc: 0xdeadbeef,
    relocCrc: 0xcafebabe,
  };
  test.each<[string, Piece[], unknown]>([
    ['version V60', [0xeffe0000 + 19970605, ...entry, ...entry], [contribution, contribution]],
    ['version V2', [0xeffe0000 + 20140516, ...entry, 7], [{ ...contribution, coffSection: 7 }]],
    ['none', [], []],
  ])('%s', (_name, contributions, expected) => {
    expect(readPdb(tinyPdb({ contributions })).sectionContributions).toEqual(expected);
  });

  test('an unknown version is refused', () => {
    const pdb = readPdb(tinyPdb({ contributions: [1, ...entry] }));
    expect(() => pdb.sectionContributions).toThrow(/dbi\.contributions/);
  });
});

describe('functions compiled for a hotpatch', () => {
  const items = [
    record(LF_STRING_ID, 0, 'not a function'),
    record(LF_FUNC_ID, 0, 0x1003, 'copy_name'),
    record(LF_FUNC_ID, 0, 0x1003, 'dispatch'),
  ];
  test('by the name in the record; without one by the name of the function id', () => {
    const symbols = [record(S_HOTPATCHFUNC, 0x1001, '?copy_name@@YAXXZ'), record(S_HOTPATCHFUNC, 0x1002)];
    const pdb = readPdb(tinyPdb({ items, modules: [{ name: 'demo.obj', symbols }] }));
    expect(pdb.hotPatchFunctions.map(({ name, module }) => [name, module.name])).toEqual([
      ['?copy_name@@YAXXZ', 'demo.obj'],
      ['dispatch', 'demo.obj'],
    ]);
    expect(pdb.functionName(0x1000)).toBeUndefined();
    expect(pdb.functionName(0x1003)).toBeUndefined();
  });
});

describe('the symbol table of a PDB', () => {
  test('publics lend their names to procedures, and are kept where they name nothing else', () => {
    const pdb = readPdb(
      tinyPdb({
        machine: 0x14c,
        modules: [
          {
            name: 'C:\\build\\demo.obj',
            symbols: [
              proc(S_GPROC32, 'copy_name', 0x10, 0x20),
              proc(S_LPROC32, 'helper', 0x40, 8),
              label('', 0x12),
              label('inside', 0x14),
            ],
          },
          {
            name: 'memcpy.obj',
            library: 'D:\\lib\\libcmt.lib',
            symbols: [proc(S_LPROC32, 'helper', 0x50, 8), proc(S_GPROC32, 'D::f', 0x60, 4)],
          },
        ],
        globals: [data(S_LDATA32, 's_calls', 0x800), record(0x1125, 0, 4, u16(1), 'copy_name')],
        publics: [
          pub('_copy_name', 0x10),
          pub('?f@D@@UAEHXZ', 0x60),
          pub('_asm@4', 0x70),
          pub('___guard_flags', 0x500, 2, 0),
        ],
      }),
    );
    expect(pdb.symbols.all).toEqual([
      {
        name: 'copy_name',
        rawName: '_copy_name',
        rva: 0x1010,
        size: 0x20,
        kind: 'function',
        module: 'demo.obj',
        isStatic: false,
      },
      { name: 'inside', rva: 0x1014, kind: 'label', module: 'demo.obj', isStatic: true },
      { name: 'helper', rva: 0x1040, size: 8, kind: 'function', module: 'demo.obj', isStatic: true },
      { name: 'helper', rva: 0x1050, size: 8, kind: 'function', module: 'libcmt:memcpy.obj', isStatic: true },
      {
        name: 'D::f',
        rawName: '?f@D@@UAEHXZ',
        rva: 0x1060,
        size: 4,
        kind: 'function',
        module: 'libcmt:memcpy.obj',
        isStatic: false,
      },
      { name: 'asm', rawName: '_asm@4', rva: 0x1070, kind: 'function', isStatic: false },
      { name: 's_calls', rva: 0x1800, kind: 'data', isStatic: true },
    ]);
    expect(pdb.symbols.byAddress(0x1016)).toMatchObject({ symbol: { name: 'copy_name' }, offset: 6 });
  });

  test('functions that the linker has folded onto one address keep all their names', () => {
    const symbols = [proc(S_GPROC32, 'A::nothing', 0x10, 4), proc(S_GPROC32, 'B::nothing', 0x10, 4)];
    const publics = [pub('?nothing@A@@QEAAXXZ', 0x10), pub('?nothing@B@@QEAAXXZ', 0x10)];
    const { symbols: table } = readPdb(tinyPdb({ modules: [{ name: 'a.obj', symbols }], publics }));
    for (const name of ['A::nothing', 'B::nothing', '?nothing@A@@QEAAXXZ', '?nothing@B@@QEAAXXZ']) {
      expect(table.byName(name), name).toMatchObject({ rva: 0x1010, size: 4, kind: 'function' });
    }
  });
});

test('a PDB whose image was rearranged after linking gives no RVAs rather than wrong ones', () => {
  const pdb = readPdb(tinyPdb({ omap: true, publics: [pub('moved', 0)] }));
  expect(pdb.publics).toHaveLength(1);
  expect(() => pdb.symbols).toThrow(/pdb\.omap/);
});

describe('laziness', () => {
  test('a broken module stream spoils only its own module', () => {
    const modules = [
      { name: 'bad.obj', symbols: [bytes(u16(0x4000), u16(S_GPROC32))] },
      { name: 'good.obj', symbols: [proc(S_GPROC32, 'fine', 0, 4)] },
    ];
    const pdb = readPdb(tinyPdb({ modules }));
    expect(pdb.modules[1]?.symbols).toHaveLength(1);
    expect(() => pdb.modules[0]?.symbols).toThrow(/module 0 \(bad\.obj\) \+0x4.*codeview\.record/);
  });
});

describe('a hostile PDB', () => {
  test('cannot have one stream read for many modules', () => {
    const symbols = Array.from({ length: 100 }, (_, i) => proc(S_GPROC32, `function_${i}`, i * 16, 8));
    const modules = Array.from({ length: 100 }, () => ({ name: 'a.obj', symbols }));
    const pdb = readPdb(
      tinyPdb({ modules: modules.map((m, i) => (i ? { ...m, symbols: [] } : m)), sharedStream: true }),
    );
    expect(() => pdb.modules).toThrow(/tooMuch/);
  });

  test('cannot list one public many times', () => {
    expect(readPdb(tinyPdb({ publics: [pub('only', 0)] })).publics).toHaveLength(1);
    const pdb = readPdb(tinyPdb({ publics: [pub('only', 0)], repeatPublics: 1000 }));
    expect(() => pdb.publics).toThrow(/tooMuch/);
  });

  test('cannot have a record read on into the next one', () => {
    const symbols = [record(S_GPROC32, 0, 0, 0, 4), proc(S_GPROC32, 'next', 0, 4)];
    const pdb = readPdb(tinyPdb({ modules: [{ name: 'a.obj', symbols }] }));
    expect(() => pdb.modules[0]?.symbols).toThrow(
      /a symbol record of 0x10 bytes is too short.*codeview\.record/,
    );
  });
});
