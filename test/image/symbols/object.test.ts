import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readObject } from '../../../src/image/index.js';
import { architectures, type Build, build, fixtures, haveCompiler, haveTools, shown } from './builds.js';
import {
  describeCodeView,
  describeRelocations,
  describeSection,
  describeSymbol,
  readobj,
} from './readobj.js';

const builds: Build[] = haveCompiler ? architectures.map((architecture) => build(architecture)) : [];
const objects = [...builds.flatMap(({ objects }) => objects), ...fixtures(/\.obj$/)];

const open = (path: string) => readObject(readFileSync(path), { file: path });

/** lld and the assembler switch to /bigobj by themselves when 16 bits do not number the sections. */
function bigObject(folder: string): string {
  const source = Array.from(
    { length: 0x10000 },
    (_, i) => `.section .d${i},"dr"\n.byte 1\n.long .d${i}@IMGREL`,
  );
  writeFileSync(join(folder, 'big.S'), `${source.join('\n')}\n`);
  execFileSync('clang-22', ['--target=x86_64-pc-windows-msvc', '-c', 'big.S', '-o', 'big.obj'], {
    cwd: folder,
  });
  return join(folder, 'big.obj');
}

describe.skipIf(!haveTools('llvm-readobj-22'))('an object says the same to llvm-readobj and to us', () => {
  if (builds[0]) objects.push(bigObject(builds[0].folder));

  test.each(objects.map((path) => [shown(path), path]))('%s', (_name, path) => {
    const object = open(path);
    const theirs = readobj(path);
    expect(object.isBigObj).toBe(path.endsWith('big.obj'));
    expect(object.sections.map(describeSection)).toEqual(theirs.sections);
    expect(object.symbols.map((symbol) => describeSymbol(object, symbol))).toEqual(theirs.symbols);
    expect(describeRelocations(object)).toEqual(theirs.relocations);
    expect(object.codeView.flatMap((symbol) => describeCodeView(symbol) ?? [])).toEqual(theirs.codeView);
    expect(object.sections.length).toBeGreaterThan(0);
  });
});

describe.skipIf(!haveCompiler)('functions that were compiled for a hotpatch', () => {
  test.each(builds.map((b, i) => [architectures[i], b]))(
    '%s: S_HOTPATCHFUNC names them',
    (_name, { objects }) => {
      const hot = objects.map((path) => open(path).hotPatchFunctions.map(({ name }) => name));
      expect(hot[0]).toEqual(['choose', 'entry']);
      expect(hot[1]).toEqual([]);
    },
  );

  test('C++ functions are named as the linker knows them', () => {
    const names = open(builds[0]?.objects[2] ?? '').hotPatchFunctions.map(({ name }) => name);
    expect(names).toEqual(['?f@Thing@space@@UEAAHH@Z', '?g@Thing@space@@QEAAHXZ']);
  });
});
