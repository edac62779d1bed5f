import { describe, expect, test } from 'vitest';
import { type SymbolInfo, symbolTable, undecorate } from '../../../image/index.js';

const symbol = (name: string, rva: number, more: Partial<SymbolInfo> = {}): SymbolInfo => ({
  name,
  rva,
  kind: 'function',
  isStatic: false,
  ...more,
});

describe('C names of x86', () => {
  test.each([
    ['_copy_name', 'copy_name', 'cdecl'],
    ['_convention@8', 'convention', 'stdcall'],
    ['@quick@8', 'quick', 'fastcall'],
    ['vector@@16', 'vector', 'vectorcall'],
    ['__DllMainCRTStartup@12', '_DllMainCRTStartup', 'a source name that begins with an underscore'],
    ['___ref_g_counter', '__ref_g_counter', 'one that begins with two'],
    ['__imp__imp_add', '__imp_imp_add', 'an import'],
    ['__imp__Sleep@4', '__imp_Sleep', 'an import of a stdcall function'],
    ['?f@D@@UAEHXZ', '?f@D@@UAEHXZ', 'C++ stays'],
    ['??_C@_05IAEKHIAN@alpha?$AA@', '??_C@_05IAEKHIAN@alpha?$AA@', 'a string literal stays'],
    ['.weak.___ref_g.default._f', '.weak.___ref_g.default._f', 'a weak alias stays'],
    ['plain', 'plain', 'no decoration'],
    ['_', '_', 'nothing behind the underscore'],
  ])('%s is %s: %s', (linkerName, name) => {
    expect(undecorate(linkerName)).toBe(name);
  });
});

describe('by name', () => {
  const table = symbolTable([
    symbol('helper', 0x2000, { isStatic: true, module: 'second.obj' }),
    symbol('helper', 0x1000, { isStatic: true, module: 'first.obj' }),
    symbol('same', 0x5000, { isStatic: true, module: 'first.obj' }),
    symbol('same', 0x6000, { module: 'second.obj' }),
    symbol('copy_name', 0x3000, { rawName: '_copy_name' }),
  ]);

  test('the decorated and the source name find the same symbol', () => {
    expect(table.byName('copy_name')).toBe(table.byName('_copy_name'));
    expect(table.byName('copy_name')?.rva).toBe(0x3000);
  });

  test('statics of two objects are kept apart', () => {
    expect(table.allByName('helper').map(({ rva, module }) => [rva, module])).toEqual([
      [0x1000, 'first.obj'],
      [0x2000, 'second.obj'],
    ]);
  });

  test('the one that all objects see comes before a static one of lower address', () => {
    expect(table.byName('same')?.module).toBe('second.obj');
  });

  test('an unknown name finds nothing', () => {
    expect(table.byName('toString')).toBeUndefined();
    expect(table.allByName('constructor')).toEqual([]);
  });
});

describe('by address', () => {
  const table = symbolTable([
    symbol('outer', 0x1000, { size: 0x100 }),
    symbol('label', 0x1010, { kind: 'label' }),
    symbol('inner', 0x1020, { size: 0x10, kind: 'data' }),
    symbol('alias', 0x1000, { kind: 'public' }),
    symbol('unsized', 0x1200, { kind: 'public' }),
    symbol('its_public', 0x1280, { kind: 'public' }),
    symbol('unsized_function', 0x1280),
    symbol('last', 0x1300, { size: 8 }),
  ]);
  test.each<[number, string | undefined, string]>([
    [0xfff, undefined, 'before the first symbol'],
    [0x1000, 'outer+0', 'a function before its public'],
    [0x1012, 'outer+18', 'a function around a label'],
    [0x1020, 'inner+0', 'the innermost'],
    [0x102f, 'inner+15', 'its last byte'],
    [0x1030, 'outer+48', 'behind the inner one'],
    [0x10ff, 'outer+255', 'the last byte of the outer one'],
    [0x1205, 'unsized+5', 'without a size'],
    [0x1281, 'unsized_function+1', 'a function before its public, without sizes'],
    [0x1310, 'last+16', 'nothing around it: the nearest before'],
  ])('%i is %s: %s', (rva, expected) => {
    const found = table.byAddress(rva);
    expect(found && `${found.symbol.name}+${found.offset}`).toBe(expected);
  });
});
