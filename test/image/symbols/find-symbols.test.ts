import { copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findSymbols, readImage, readMapFile, type SymbolInfo } from '../../../image/index.js';
import { architectures, build, fixtures, haveCompiler, shown, temporaryFolder } from './builds.js';

describe('the images in test/fixtures', () => {
  test.each(fixtures(/\.(?:dll|sys)$/).map((path) => [shown(path), path]))(
    '%s has its symbols beside it',
    (_name, path) => {
      const { table, origin } = findSymbols(path);
      expect(origin.passedOver).toEqual([]);
      expect(['pdb', 'map']).toContain(origin.kind);
      const { optionalHeader, exports } = readImage(readFileSync(path));
      // A DLL need not have an entry point.
      const entry = optionalHeader.addressOfEntryPoint || (exports?.functions[0]?.rva ?? 0);
      expect(table.byAddress(entry)).toMatchObject({ offset: 0, symbol: { kind: 'function', rva: entry } });
    },
  );
});

describe.skipIf(!haveCompiler).each(architectures)('%s', (architecture) => {
  const sample = haveCompiler ? build(architecture) : undefined;
  const { image, pdb, map } = sample ?? { image: '', pdb: '', map: '' };
  const other = architectures[(architectures.indexOf(architecture) + 1) % 3] ?? 'x64';

  /** A folder with copies of these files of the build. */
  const folderWith = (...files: string[]) => {
    const folder = temporaryFolder('find');
    for (const file of files) copyFileSync(file, join(folder, file.slice(file.lastIndexOf('/') + 1)));
    return folder;
  };

  test('the PDB comes first', () => {
    const found = findSymbols(image);
    expect(found.origin).toEqual({ kind: 'pdb', file: pdb, passedOver: [] });
    expect(found.pdb?.symbols).toBe(found.table);
  });

  test('without a PDB the map', () => {
    const folder = folderWith(image, map);
    const found = findSymbols(join(folder, 'sample.dll'));
    expect(found.origin).toEqual({ kind: 'map', file: join(folder, 'sample.map'), passedOver: [] });
    expect(found.table.byName('choose')?.module).toBe('first.obj');
  });

  test('alone its exports', () => {
    const { table, origin } = findSymbols(join(folderWith(image), 'sample.dll'));
    expect(origin).toEqual({ kind: 'exports', passedOver: [] });
    expect(table.all.map(({ name, kind }) => [name, kind])).toEqual([['entry', 'function']]);
    expect(table.byName('entry')?.rva).toBe(findSymbols(image).table.byName('entry')?.rva);
  });

  test('its COFF symbol table, with what lld puts into it', () => {
    const coff = build(architecture, ['/debug:symtab']);
    const folder = folderWith(coff.image);
    const { table, origin } = findSymbols(join(folder, 'sample.dll'));
    expect(origin.kind).toBe('coff');
    const inMap = readMapFile(readFileSync(coff.map, 'utf8')).symbols;
    for (const name of ['choose', 'convention', 'second', 'shared', '_DllMainCRTStartup']) {
      expect(table.byName(name)?.rva, name).toBe(inMap.byName(name)?.rva);
    }
    expect(table.allByName('helper').map(({ rva, isStatic }) => [rva, isStatic])).toEqual(
      inMap.allByName('helper').map(({ rva }) => [rva, true]),
    );
  });

  test('a PDB and a map of another build are passed over, with the reason', () => {
    const folder = folderWith(image);
    const stranger = build(other);
    copyFileSync(stranger.pdb, join(folder, 'sample.pdb'));
    copyFileSync(stranger.map, join(folder, 'sample.map'));
    const { origin } = findSymbols(join(folder, 'sample.dll'));
    expect(origin.kind).toBe('exports');
    expect(origin.passedOver.map(({ rule }) => rule)).toEqual(['pdb.mismatch', 'map.mismatch']);
    expect(origin.passedOver[0]?.message).toMatch(/GUID .* the image asks for .* age 1/);
    expect(origin.passedOver[1]?.message).toMatch(/(load address|time stamp|entry point) 0x/);
  });

  test('a broken PDB is passed over too', () => {
    const folder = folderWith(image, map);
    writeFileSync(join(folder, 'sample.pdb'), readFileSync(pdb).subarray(0, 6000));
    const { origin } = findSymbols(join(folder, 'sample.dll'));
    expect(origin.kind).toBe('map');
    expect(origin.passedOver.map(({ rule }) => rule)).toEqual(['truncated']);
  });

  test('symbolsFile is used instead, wherever it lies, and must match', () => {
    const folder = folderWith(pdb, map);
    renameSync(join(folder, 'sample.pdb'), join(folder, 'elsewhere.pdb'));
    const opened = { image: readImage(readFileSync(image)), path: image };
    expect(findSymbols(opened, { symbolsFile: join(folder, 'elsewhere.pdb') }).origin.kind).toBe('pdb');
    expect(findSymbols(opened, { symbolsFile: join(folder, 'sample.map') }).origin.kind).toBe('map');
    const stranger = build(other);
    expect(() => findSymbols(image, { symbolsFile: stranger.pdb })).toThrow(/pdb\.mismatch/);
    expect(() => findSymbols(image, { symbolsFile: stranger.map })).toThrow(/map\.mismatch/);
    expect(() => findSymbols(image, { symbolsFile: image })).toThrow(/map\.format/);
  });

  test.each([
    ['load address', /Preferred load address is 0*([0-9a-f])/, 'Preferred load address is 9$1'],
    ['time stamp', /Timestamp is [0-9a-f]{8}/, 'Timestamp is 12345678'],
    ['entry point', /entry point at( +)0001:0000/, 'entry point at$10001:0001'],
  ])('a map that differs in nothing but the %s is of another build', (difference, from, to) => {
    const file = join(folderWith(map), 'sample.map');
    writeFileSync(file, readFileSync(map, 'utf8').replace(from, to));
    expect(() => findSymbols(image, { symbolsFile: file })).toThrow(
      new RegExp(`the map is of another build: ${difference} 0x[0-9a-f]+ instead of 0x[0-9a-f]+ `),
    );
  });

  test('PDB and map agree on every symbol of the map', () => {
    const fromPdb = findSymbols(image).table;
    const fromMap = readMapFile(readFileSync(map, 'utf8')).symbols;
    const linkerName = ({ name, rawName }: SymbolInfo) => rawName ?? name;
    for (const symbol of fromMap.all) {
      const place = { rva: symbol.rva, isStatic: symbol.isStatic, module: symbol.module };
      // A static variable of a function is `second.calls` for the linker and `calls` for the debugger.
      const name = symbol.isStatic ? symbol.name.replace(/^.*\./, '') : linkerName(symbol);
      const same =
        fromPdb.allByName(name).find(({ rva }) => rva === symbol.rva) ??
        fromPdb.byAddress(symbol.rva)?.symbol;
      expect(same, linkerName(symbol)).toMatchObject(place);
    }
    expect(fromPdb.byName('calls')?.scope).toBe('second');
    expect(fromPdb.byName('shared')?.scope).toBeUndefined();
    const functions = fromPdb.all.filter(({ kind }) => kind === 'function');
    expect(functions.filter(({ size }) => !size)).toEqual([]);
    expect(functions.map(({ name }) => name).filter((name) => name === 'helper')).toHaveLength(2);
  });
});
