import { readObject, symbolsFromCoff, symbolsFromExports } from 'hotpatch-lab/image';
import { describe, expect, test } from 'vitest';
import { ByteReader } from '../../../image/index.js';
import { bytes, type Piece, u16 } from './tiny-pdb.js';

const AMD64 = 0x8664;
const CODE = 0x60500020;
const NRELOC_OVFL = 0x01000000;
const padded = (name: string) => bytes(name, new Uint8Array(8)).subarray(0, 8);
const u8 = (value: number) => Uint8Array.of(value);

interface TinySection {
  readonly name: string;
  readonly data?: Uint8Array;
  readonly relocations?: readonly Uint8Array[];
  /** As the header says; by default the true number. */
  readonly count?: number;
  readonly characteristics?: number;
}

/** An object file: header, section table, data and relocations of each section, symbols, strings. */
function tinyObject(
  sections: readonly TinySection[],
  symbols: readonly Uint8Array[],
  strings: Uint8Array,
): Uint8Array {
  let end = 20 + sections.length * 40;
  const headers: Piece[] = [];
  const bodies: Uint8Array[] = [];
  for (const {
    name,
    data = new Uint8Array(0),
    relocations = [],
    count,
    characteristics = CODE,
  } of sections) {
    const body = bytes(data, ...relocations);
    headers.push(
      padded(name),
      0,
      0,
      data.length,
      end,
      end + data.length,
      0,
      u16(count ?? relocations.length),
      u16(0),
      characteristics,
    );
    bodies.push(body);
    end += body.length;
  }
  const count = symbols.reduce((sum, { length }) => sum + length / 18, 0);
  return bytes(
    ...[u16(AMD64), u16(sections.length), 0, end, count, u16(0), u16(0)],
    ...[...headers, ...bodies, ...symbols, strings.length + 4, strings],
  );
}

const symbol = (
  name: Uint8Array,
  value: number,
  section: number,
  storageClass = 2,
  type = 0x20,
  ...auxiliary: Uint8Array[]
) =>
  bytes(name, value, u16(section & 0xffff), u16(type), u8(storageClass), u8(auxiliary.length), ...auxiliary);
const named = (name: string, value: number, section: number, storageClass?: number) =>
  symbol(padded(name), value, section, storageClass);
const relocation = (offset: number, index: number, type = 4) => bytes(offset, index, u16(type));

describe('object files', () => {
  test('names that are longer than eight bytes, of sections and symbols', () => {
    const strings = bytes('a_long_symbol_name', '.a_long_section_name');
    const long = bytes(0, 4);
    const object = readObject(
      tinyObject(
        [{ name: '/23' }, { name: '//AAAAAX' }, { name: 'eight888' }],
        [symbol(long, 1, 1)],
        strings,
      ),
    );
    expect(object.sections.map(({ name }) => name)).toEqual([
      '.a_long_section_name',
      '.a_long_section_name',
      'eight888',
    ]);
    expect(object.symbols[0]).toMatchObject({ name: 'a_long_symbol_name', value: 1, sectionNumber: 1 });
  });

  test('undefined, absolute and debug symbols have sections 0, -1 and -2', () => {
    const symbols = [named('extern', 0, 0), named('@feat.00', 0x800, -1), named('.file', 0, -2, 103)];
    expect(
      readObject(tinyObject([], symbols, new Uint8Array(0))).symbols.map((s) => s.sectionNumber),
    ).toEqual([0, -1, -2]);
  });

  test('more relocations than 16 bits can count: the first record holds their number', () => {
    const relocations = [
      relocation(0x10001, 0),
      ...Array.from({ length: 0x10000 }, (_, i) => relocation(i, 0)),
    ];
    const section = { name: '.text', relocations, count: 0xffff, characteristics: CODE | NRELOC_OVFL };
    const object = readObject(tinyObject([section], [named('f', 0, 1)], new Uint8Array(0)));
    expect(object.sections[0]?.relocations).toHaveLength(0x10000);
    expect(object.sections[0]?.relocations[0]).toMatchObject({
      offset: 0,
      typeName: 'REL32',
      symbol: { name: 'f' },
    });
  });

  const text = { name: '.text', relocations: [relocation(0, 7)] };
  test.each<[string, Uint8Array, string]>([
    ['an image', bytes('MZ', new Uint8Array(100)), 'object.format.*this is an image'],
    ['a library', new TextEncoder().encode('!<arch>\n'.padEnd(80)), 'object.format.*library'],
    ['LLVM bitcode', bytes(0xdec04342, new Uint8Array(100)), 'object.format.*bitcode'],
    ['an import', bytes(0xffff0000, u16(0), new Uint8Array(100)), 'object.format.*import'],
    ['zeros', new Uint8Array(100), 'object.format.*machine 0x0'],
    [
      'a relocation by a symbol that is not there',
      tinyObject([text], [named('f', 0, 1)], new Uint8Array(0)),
      'object.relocation',
    ],
    [
      'auxiliary records behind the end',
      tinyObject([], [bytes(padded('f'), 0, u16(1), u16(0), u8(2), u8(9))], new Uint8Array(0)),
      'truncated',
    ],
    [
      'a section behind the end',
      tinyObject([{ name: '.text' }], [], new Uint8Array(0)).map((b, i) => (i === 38 ? 0xff : b)),
      'truncated',
    ],
  ])('%s is refused', (_name, file, expected) => {
    const [rule = '', ...words] = expected.split('.*');
    expect(() => readObject(file).sections.flatMap(({ relocations }) => relocations)).toThrow(rule);
    for (const word of words) expect(() => readObject(file)).toThrow(word);
  });

  test('a hostile object cannot have one long name or one relocation table read many times', () => {
    const strings = bytes('n'.repeat(20_000));
    const symbols = Array.from({ length: 1000 }, () => symbol(bytes(0, 4), 0, 0));
    expect(() => readObject(tinyObject([], symbols, strings))).toThrow(/tooMuch/);

    const relocations = Array.from({ length: 1000 }, () => relocation(0, 0));
    const file = tinyObject(
      [...Array.from({ length: 100 }, () => ({ name: '.text' })), { name: '.text', relocations }],
      [named('f', 0, 1)],
      new Uint8Array(0),
    );
    const view = new DataView(file.buffer);
    const last = 20 + 100 * 40;
    for (let at = 20; at < last; at += 40) {
      view.setUint32(at + 24, view.getUint32(last + 24, true), true);
      view.setUint16(at + 32, 1000, true);
    }
    expect(() => readObject(file).sections.map((section) => section.relocations)).toThrow(/tooMuch/);
  });
});

describe('symbols in an image', () => {
  const sections = [
    { virtualAddress: 0x1000, characteristics: 0x60000020 },
    { virtualAddress: 0x2000, characteristics: 0xc0000040 },
  ];
  const definition = new Uint8Array(18);

  test('of its COFF symbol table', () => {
    const symbols = [
      symbol(padded('.file'), 0, -2, 103, 0, bytes('demo.c', new Uint8Array(18)).subarray(0, 18)),
      symbol(padded('.text'), 0, 1, 3, 0, definition),
      symbol(padded('_f@4'), 0x10, 1),
      symbol(padded('_label'), 0x14, 1, 6, 0),
      symbol(padded('_asm'), 0x18, 1, 2, 0),
      symbol(padded('_counter'), 4, 2, 3, 0),
      symbol(padded('_extern'), 0, 0),
    ];
    const file = tinyObject([], symbols, new Uint8Array(0));
    const fileHeader = { pointerToSymbolTable: 20, numberOfSymbols: 9 };
    const table = symbolsFromCoff({ machine: 'I386', fileHeader, sections }, new ByteReader(file, 'file'));
    const module = 'demo.c';
    expect(table.all).toEqual([
      { name: 'f', rawName: '_f@4', rva: 0x1010, kind: 'function', module, isStatic: false },
      { name: 'label', rawName: '_label', rva: 0x1014, kind: 'label', module, isStatic: true },
      { name: 'asm', rawName: '_asm', rva: 0x1018, kind: 'public', module, isStatic: false },
      { name: 'counter', rawName: '_counter', rva: 0x2004, kind: 'data', module, isStatic: true },
    ]);
  });

  test('of its exports: forwarders have none, the nameless are called by their ordinal', () => {
    const functions = [
      { ordinal: 1, name: '_kept', rva: 0x1010 },
      { ordinal: 2, name: '_stdcall@8', rva: 0x1020 },
      { ordinal: 3, rva: 0x1030 },
      { ordinal: 4, name: 'counter', rva: 0x2000 },
      { ordinal: 5, name: 'elsewhere', rva: 0x2100, forwarder: 'NTDLL.RtlZeroMemory' },
    ];
    const sectionAt = (rva: number) => sections[rva < 0x2000 ? 0 : 1];
    expect(symbolsFromExports({ machine: 'I386', exports: { functions }, sectionAt }).all).toEqual([
      { name: '_kept', rva: 0x1010, kind: 'function', isStatic: false },
      { name: 'stdcall', rawName: '_stdcall@8', rva: 0x1020, kind: 'function', isStatic: false },
      { name: 'Ordinal3', rva: 0x1030, kind: 'function', isStatic: false },
      { name: 'counter', rva: 0x2000, kind: 'data', isStatic: false },
    ]);
  });
});
