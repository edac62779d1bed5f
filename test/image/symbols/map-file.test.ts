import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type ImageError, readMapFile } from '../../../image/index.js';
import { architectures, build, haveCompiler } from './builds.js';

/** The layout of Microsoft's linker: flag columns, blank lines, several sections, exports at the end. */
const msvc = (digits: 8 | 16, base: string, decoration: string) => {
  const va = (rva: number) => (BigInt(`0x${base}`) + BigInt(rva)).toString(16).padStart(digits, '0');
  return ` sample

 Timestamp is 65a1b2c3 (Fri Jan 12 22:44:03 2024)

 Preferred load address is ${base}

 Start         Length     Name                   Class
 0001:00000000 00000a30H .text$mn                CODE
 0001:00000a30 00000012H .text$x                 CODE
 0002:00000000 00000128H .idata$5                DATA
 0003:00000000 00000040H .data                   DATA

  Address         Publics by Value              Rva+Base${' '.repeat(digits)}Lib:Object

 0000:00000000       ${decoration}__guard_fids_count         ${'0'.repeat(digits)}     <absolute>
 0000:00000100       ${decoration}__guard_flags              ${'100'.padStart(digits, '0')}     <absolute>
 0000:00000000       ${decoration}__ImageBase                ${va(0)}     <linker-defined>
 0001:00000000       ${decoration}main                       ${va(0x1000)} f   sample.obj
 0001:00000070       ${decoration}printf                     ${va(0x1070)} f   libcmt:printf.obj
 0001:000000a0       ${decoration}Sleep${decoration && '@4'}                    ${va(0x10a0)} f i kernel32:KERNEL32.dll
 0001:000000b0       ?f@?A0x12345678@@YAX$$QEAU?$a_rather_long@H@@@Z ${va(0x10b0)} f   sample.obj
 0001:000000c0       ${decoration}asm_label                  ${va(0x10c0)}     thunk.obj
 0002:00000000       __imp_${decoration}Sleep${decoration && '@4'}              ${va(0x2000)}     kernel32:KERNEL32.dll
 0003:00000008       ${decoration}counter                    ${va(0x3008)}     sample.obj

 entry point at        0001:00000430

 Static symbols

 0001:00000200       ${decoration}helper                     ${va(0x1200)} f   sample.obj
 0001:00000300       ${decoration}helper                     ${va(0x1300)} f   C:\\my objects\\other.obj

 Exports

  ordinal    name

        1    main
`;
};

describe.each([
  ['x64', msvc(16, '0000000140000000', ''), 0x140000000n],
  ['x86', msvc(8, '00400000', '_'), 0x400000n],
  ['x86 with Windows line ends', msvc(8, '00400000', '_').replaceAll('\n', '\r\n'), 0x400000n],
] as const)("a map of Microsoft's linker, %s", (name, text, base) => {
  const map = readMapFile(text);
  const isX86 = name.startsWith('x86');

  test('header', () => {
    expect(map.name).toBe('sample');
    expect(map.timeDateStamp).toBe(0x65a1b2c3);
    expect(map.preferredLoadAddress).toBe(base);
    expect(map.entryPoint).toEqual({ section: 1, offset: 0x430 });
    expect(map.sections[1]).toEqual({
      section: 1,
      offset: 0xa30,
      length: 0x12,
      name: '.text$x',
      class: 'CODE',
    });
  });

  test('every symbol', () => {
    const raw = (text: string) => (isX86 ? { rawName: text } : {});
    const f = { kind: 'function', isStatic: false };
    expect(map.symbols.all).toEqual([
      { name: '__ImageBase', ...raw('___ImageBase'), rva: 0, kind: 'public', isStatic: false },
      { name: 'main', ...raw('_main'), rva: 0x1000, ...f, module: 'sample.obj' },
      { name: 'printf', ...raw('_printf'), rva: 0x1070, ...f, module: 'libcmt:printf.obj' },
      { name: 'Sleep', ...raw('_Sleep@4'), rva: 0x10a0, ...f, module: 'kernel32:KERNEL32.dll' },
      { name: '?f@?A0x12345678@@YAX$$QEAU?$a_rather_long@H@@@Z', rva: 0x10b0, ...f, module: 'sample.obj' },
      {
        name: 'asm_label',
        ...raw('_asm_label'),
        rva: 0x10c0,
        kind: 'public',
        isStatic: false,
        module: 'thunk.obj',
      },
      { name: 'helper', ...raw('_helper'), rva: 0x1200, ...f, isStatic: true, module: 'sample.obj' },
      { name: 'helper', ...raw('_helper'), rva: 0x1300, ...f, isStatic: true, module: 'other.obj' },
      {
        name: '__imp_Sleep',
        ...raw('__imp__Sleep@4'),
        rva: 0x2000,
        kind: 'data',
        isStatic: false,
        module: 'kernel32:KERNEL32.dll',
      },
      {
        name: 'counter',
        ...raw('_counter'),
        rva: 0x3008,
        kind: 'data',
        isStatic: false,
        module: 'sample.obj',
      },
    ]);
  });
});

describe.skipIf(!haveCompiler)('a map of lld', () => {
  test.each(architectures)('%s: every line that names a symbol of the image is read', (architecture) => {
    const text = readFileSync(build(architecture).map, 'utf8');
    const map = readMapFile(text);
    const base = map.preferredLoadAddress;
    const symbol = /^ [0-9a-f]{4}:[0-9a-f]{8} {7}(\S.*?) +([0-9a-f]{16}) {5}(.*)$/gm;
    const lines = [...text.matchAll(symbol)].filter(([, , va]) => BigInt(`0x${va}`) >= base);
    const expected = lines.map(([, name, va]) => `${name} ${Number(BigInt(`0x${va}`) - base)}`);
    expect(map.symbols.all.map(({ name, rawName, rva }) => `${rawName ?? name} ${rva}`).sort()).toEqual(
      expected.sort(),
    );
    expect(expected.length).toBeGreaterThan(20);

    expect(map.symbols.byName('choose')).toMatchObject({
      kind: 'function',
      isStatic: false,
      module: 'first.obj',
    });
    expect(map.symbols.byName('choose')?.rawName).toBe(architecture === 'x86' ? '_choose' : undefined);
    expect(map.symbols.byName('convention')?.rva).toBeGreaterThan(0x1000);
    expect(map.symbols.allByName('helper').map(({ module, isStatic }) => [module, isStatic])).toEqual([
      ['first.obj', true],
      ['second.obj', true],
    ]);
    expect(map.symbols.byName('shared')?.kind).toBe('data');
  });
});

describe('whether C names are decorated', () => {
  const map = (...names: string[]) =>
    readMapFile(
      [
        ' sample',
        ' Preferred load address is 0000000010000000',
        ...names.map((name) => ` 0001:00000010       ${name.padEnd(26)} 0000000010001010     a.obj`),
      ].join('\n'),
    ).symbols.all.map(({ name }) => name);
  test.each([
    [
      'the guard symbol of x86 says so, in spite of a plain name',
      ['___guard_flags', '_f', 'asm'],
      ['__guard_flags', 'f', 'asm'],
    ],
    ['the guard symbol of the others says no', ['__guard_flags', '_f'], ['__guard_flags', '_f']],
    ['without one, a plain name says no', ['_f', 'g'], ['_f', 'g']],
    ['and none says yes', ['_f', '?g@@YAXXZ', '@h@4'], ['f', '?g@@YAXXZ', 'h']],
  ])('%s', (_name, names, expected) => {
    expect(map(...names).sort()).toEqual(expected.sort());
  });
});

test('a text that is no map is refused', () => {
  expect(() =>
    readMapFile('Archive member included to satisfy reference by file\n', { file: 'gnu.map' }),
  ).toThrow(
    expect.objectContaining({ name: 'ImageError', rule: 'map.format', file: 'gnu.map' }) as ImageError,
  );
});
