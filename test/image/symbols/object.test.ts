import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readObject } from '../../../image/index.js';
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

describe.skipIf(!haveTools('llvm-readobj-22'))('an object says the same to llvm-readobj and to us', () => {
  test.each(objects.map((path) => [shown(path), path]))('%s', (_name, path) => {
    const object = open(path);
    const theirs = readobj(path);
    expect(object.isBigObj).toBe(false);
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
      expect(hot[0]).toEqual(['choose', 'convention', 'entry']);
      expect(hot[1]).toEqual([]);
    },
  );

  test('C++ functions are named as the linker knows them', () => {
    const names = open(builds[0]?.objects[2] ?? '').hotPatchFunctions.map(({ name }) => name);
    expect(names).toEqual(['?f@Thing@space@@UEAAHH@Z', '?g@Thing@space@@QEAAHXZ']);
  });
});

describe.skipIf(!haveCompiler || !haveTools('llvm-objdump-22'))('/bigobj', () => {
  // The assembler switches to it by itself when 16 bits do not number the sections.
  test('65,539 sections, and a symbol and a relocation for each', () => {
    const folder = builds[0]?.folder ?? '';
    const path = join(folder, 'big.obj');
    const source = Array.from(
      { length: 0x10000 },
      (_, i) => `.section .d${i},"dr"\n.byte 1\n.long .d${i}@IMGREL\n`,
    );
    writeFileSync(join(folder, 'big.S'), source.join(''));
    execFileSync('clang-22', ['--target=x86_64-pc-windows-msvc', '-c', 'big.S', '-o', path], { cwd: folder });
    const object = open(path);
    expect(object.isBigObj).toBe(true);
    expect(object.sections).toHaveLength(0x10003);

    const hex = (value: number, width: number) => value.toString(16).padStart(width);
    const ours = object.symbols.map((symbol) => {
      const place = `[${String(symbol.index).padStart(2)}](sec ${String(symbol.sectionNumber).padStart(2)})`;
      const type = `(fl 0x00)(ty ${hex(symbol.type, 3)})(scl ${hex(symbol.storageClass, 3)})`;
      const count = symbol.auxiliary.length / 20;
      return `${place}${type} (nx ${count}) 0x${symbol.value.toString(16).padStart(8, '0')} ${symbol.name}`;
    });
    const output = execFileSync('llvm-objdump-22', ['-t', path], { maxBuffer: 1 << 28 }).toString();
    const theirs = output.split('\n').filter((line) => line.startsWith('['));
    expect(ours.join('\n') === theirs.join('\n')).toBe(true);

    for (const section of object.sections.slice(3)) {
      const [relocation] = section.relocations;
      if (relocation?.symbol.sectionNumber !== section.number) throw new Error(`section ${section.number}`);
    }
  });
});
