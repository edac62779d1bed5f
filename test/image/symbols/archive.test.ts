import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readArchive, readObject } from '../../../image/index.js';
import { architectures, build, haveCompiler, haveTools } from './builds.js';

const tools = haveTools('llvm-ar-22', 'llvm-readobj-22');

describe.skipIf(!haveCompiler || !tools).each(architectures)('libraries of %s', (architecture) => {
  const sample = haveCompiler ? build(architecture) : undefined;
  const { folder, objects } = sample ?? { folder: '', objects: [] };

  test('objects: names and bytes as llvm-ar has them', () => {
    const library = join(folder, 'objects.lib');
    const long = 'a_name_that_is_longer_than_fifteen_characters.obj';
    execFileSync('cp', [objects[1] ?? '', join(folder, long)]);
    execFileSync('llvm-ar-22', ['rc', '--format=coff', library, ...objects, join(folder, long)]);
    const members = readArchive(readFileSync(library), { file: library });
    expect(members.map(({ name }) => name)).toEqual(['first.obj', 'second.obj', 'names.obj', long]);
    for (const [i, object] of [...objects, objects[1] ?? ''].entries()) {
      expect(Buffer.compare(members[i]?.data ?? new Uint8Array(0), readFileSync(object))).toBe(0);
    }
    expect(readObject(members[0]?.data ?? new Uint8Array(0)).hotPatchFunctions).toHaveLength(3);
  });

  test("an import library of lld: what llvm-readobj says of each import, and the three objects that make a DLL's import", () => {
    const library = join(folder, 'sample.lib');
    const members = readArchive(readFileSync(library));
    expect(members.filter(({ shortImport }) => !shortImport)).toHaveLength(3);
    const ours = members.flatMap(({ name, shortImport }) =>
      shortImport
        ? [`${name} ${shortImport.dll} ${shortImport.type} ${shortImport.nameType} ${shortImport.symbolName}`]
        : [],
    );
    const text = execFileSync('llvm-readobj-22', [library]).toString();
    const theirs = [
      ...text.matchAll(
        /^File: (.*)\nFormat: COFF-import-file.*\nType: (\w+)\nName type: (\w+)\n(?:.*\n)*?Symbol: __imp_(.*)$/gm,
      ),
    ];
    const names: Record<string, string> = { noprefix: 'noPrefix' };
    expect(ours).toEqual(
      theirs.map(
        ([, file, type, nameType = '', symbol]) =>
          `${file} ${file} ${type} ${names[nameType] ?? nameType} ${symbol}`,
      ),
    );
    expect(ours).toHaveLength(1);
  });
});

test('another file is refused', () => {
  expect(() => readArchive(new TextEncoder().encode('!<thin>\n'))).toThrow(/archive\.magic/);
  expect(() => readArchive(new TextEncoder().encode('!<arch>\n'.padEnd(68, ' ')))).toThrow(/archive\.header/);
  expect(() => readArchive(new TextEncoder().encode('!<arch>\nshort'))).toThrow(/truncated/);
});
