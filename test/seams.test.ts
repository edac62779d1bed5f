import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ROOMS } from '../scripts/setup/rooms.js';

const root = fileURLToPath(new URL('../', import.meta.url));

/**
 * Ways to put something else in the place of a method of a living object or of a class: a function assigned to a member
 * of anything but `this` or an own local object, a member of a prototype, methods copied over an object of the lab.
 */
const REPLACEMENTS: readonly RegExp[] = [
  /^\s*(?:lab|kernel|machine|loader|scheduler|writer|engine|domain|process|thread|memory|space|addressSpace|host|console)(?:\.\w+)+ = (?:async )?\([^)]*\)(?:: [^=]+)? =>/,
  /\.prototype(?:\.\w+|\[[^\]]+\]) = /,
  /^\s*(?:object|owner|writer|target)\[\w+\] = /,
  /(?:Object|Reflect)\.defineProperty\(\s*(?:\w+\.)*(?:lab|kernel|machine|loader|scheduler|writer|engine|domain|process|thread|memory|space|host|console)\s*,/,
  /\bvi\.(?:spyOn|mock|doMock)\(/,
  /Object\.assign\(\s*(?:\w+\.)*(?:lab|kernel|machine|loader|scheduler|writer|engine|domain|process|thread|memory|space|host|console)\s*,/,
];

const found = (text: string) =>
  text.split('\n').filter((line) => REPLACEMENTS.some((pattern) => pattern.test(line)));

describe('methods of living objects', () => {
  it('are replaced nowhere, neither in code nor in tests', () => {
    const files = execFileSync('git', ['ls-files', '*.ts'], { cwd: root, encoding: 'utf8' })
      .split('\n')
      .filter((file) => file !== '' && file !== 'test/seams.test.ts');
    expect(files.length).toBeGreaterThan(500);
    const replaced = files.flatMap((file) =>
      found(readFileSync(join(root, file), 'utf8')).map((line) => `${file}: ${line.trim()}`),
    );
    expect(replaced).toEqual([]);
  });

  it.each([
    'kernel.createThread = (target, parameters = []) => {',
    'machine.writeCode = (...parameters) => {',
    'Object.assign(writer, {',
    'Object.assign(lab.kernel, {',
    'Object.assign(machine.host, { openImage });',
    'console.log = (...args: unknown[]) => console.error(...args);',
    'owner[name] = replacement;',
    'Kernel.prototype.call = other;',
    "Object.defineProperty(lab.kernel, 'call', { value });",
    "vi.spyOn(process.stdout, 'write');",
  ])('this is one: %s', (line) => {
    expect(found(line)).toEqual([line]);
  });
});

/** Comparisons that ask which processor it is, by any of the names that it has. */
const ASKS_FOR_THE_PROCESSOR: readonly RegExp[] = [
  /[!=]== '(?:x64|x86|arm64|x86-64)'/,
  /[!=]== '(?:I386|AMD64|ARM64|ARM64EC|ARM64X|ARMNT)'/,
  /[!=]== (?:\w+\.)?(?:x64|x86|arm64)\b(?![.(])/,
  /\bcase '(?:x64|x86|arm64|x86-64|I386|AMD64|ARM64|ARM64EC|ARM64X|ARMNT)'/,
  /(?:[!=]==|\bcase) (?:IMAGE_FILE_)?MACHINE[._](?:I386|AMD64|ARM\w*)/,
  /\bmachine [!=]== (?:0x|'|[A-Z])(?!MAGE_FILE_MACHINE\.UNKNOWN)/,
  /\bbits [!=]== (?:32|64)\b/,
];

/** Files that ask all the same, and why. */
const MAY_ASK: Readonly<Record<string, string>> = {
  'cpu/architecture/x86.ts': 'an architecture object',
  'cpu/assembler/x86.ts': 'the dialect of both x86 architectures',
  'cpu/processor.ts': 'the name of the mode that a processor is in',
  'cpu/translator.ts': 'the mode that a processor is in has a return page of its own',
  'cpu/unicorn/find.ts': "the host's processor: it picks what is fetched",
  'cpu/unicorn/host-code.ts': "the host's processor: which machine code this process can run",
  'image/dynamic-relocations.ts': 'ARM64X is the name of a kind of dynamic relocation',
  'image/hybrid.ts': 'ARM64X is the name of a kind of file with two instruction sets',
  'loader/exports/ucrtbase/convert.ts': 'the bits of an integer of C',
  'loader/exports/ucrtbase/time.ts': 'the bits of a time_t',
};

const asksForTheProcessor = (text: string) =>
  text.split('\n').filter((line) => ASKS_FOR_THE_PROCESSOR.some((pattern) => pattern.test(line)));

/** The size of a pointer, and the statement that goes on behind it. */
const POINTER_SIZE_ASKED =
  /\b(?:pointerSize|pointerBytes|POINTER_SIZE\[[^\]]*\]|addressBits|ADDRESS_BITS\[[^\]]*\]) (?:[!=]==|[<>]=?) \d([^;]{0,160})/g;
/** It chooses between two ways to read or write a number, between two sizes, or between PE32 and PE32+. */
const CHOOSES_A_WIDTH =
  /(?:[uU]|U?[iI]nt|_|HEADER|CONFIG|DIR|VA|as[IU]\w+\()64|PE32|^\s*\? (?:0x[\da-f]+|\d+)n? : (?:0x[\da-f]+|\d+)n?\b/;

/** Files in which the size of a pointer chooses something else, and why. */
const MAY_CHOOSE_BY_SIZE: Readonly<Record<string, string>> = {
  'cpu/disassembler.ts': 'WinDbg writes an address of 64 bits in two halves',
  'debugger/gdb/symbol-file.ts': 'ELF has two classes, by the size of an address',
  'image/imports.ts': 'a thunk is as wide as a pointer',
};

const asksForAPointersSize = (text: string) =>
  [...text.matchAll(POINTER_SIZE_ASKED)]
    .filter(([, rest = '']) => !CHOOSES_A_WIDTH.test(rest))
    .map(([asked]) => asked.split('\n')[0]);

describe('what differs between architectures', () => {
  const files = execFileSync(
    'git',
    ['ls-files', ...[...ROOMS, 'scenarios', 'bench', 'scripts', 'examples'].map((room) => `${room}/**.ts`)],
    { cwd: root, encoding: 'utf8' },
  )
    .split('\n')
    // A mutant is a line of code that is wrong.
    .filter((file) => file !== '' && !file.startsWith('scripts/mutants/'));
  const asking = (asks: (text: string) => readonly unknown[]) =>
    files.filter((file) => asks(readFileSync(join(root, file), 'utf8')).length > 0);

  it('stands in architecture objects and in records that the compiler wants complete', () => {
    expect(files.length).toBeGreaterThan(500);
    expect(asking(asksForTheProcessor)).toEqual(Object.keys(MAY_ASK));
  });

  it("is not told by a pointer's size, which chooses the width of a number or of a structure", () => {
    expect(asking(asksForAPointersSize)).toEqual(Object.keys(MAY_CHOOSE_BY_SIZE));
  });

  it.each([
    "const aim = architecture === 'x64' ? 5 : 8;",
    "if (image.machine !== 'I386') return [];",
    'const isX86 = pdb.dbi.machine === IMAGE_FILE_MACHINE.I386;',
    'if (machine === 0x14c) return [];',
    '    case IMAGE_FILE_MACHINE.AMD64:',
    "    case 'arm64':",
    "  const name = bits === 32 ? 'x86' : architecture.name;",
    'if (thread.architecture === x64) return;',
  ])('asks for the processor: %s', (line) => {
    expect(asksForTheProcessor(line)).toEqual([line]);
  });

  it.each([
    'if (machine === IMAGE_FILE_MACHINE.UNKNOWN) throw error;',
    'if (base.machine !== fixed.machine) throw error;',
    'if (at === x64.length) return;',
  ])('does not ask for it: %s', (line) => {
    expect(asksForTheProcessor(line)).toEqual([]);
  });

  it.each([
    'if (call.pointerSize === 4) return 0;',
    "return program.image.pointerSize === 4 ? name.replace(/^r/, 'e') : name;",
    'const x86 = pointerSize === 4;',
    'return userModules(POINTER_SIZE[of.architecture] === 4);',
    'return pointerSize === 8 ? USER_SPACE_X64 : USER_SPACE_X86;',
    'if (architecture.addressBits < 64) return undefined;',
  ])("takes a pointer's size for an architecture: %s", (line) => {
    expect(asksForAPointersSize(line)).toHaveLength(1);
  });

  it.each([
    'return pointerSize === 8 ? memory.readU64(at) : BigInt(memory.readU32(at));',
    'if (pointerSize === 8) view.setBigUint64(at, value, true);\nelse view.setUint32(at, 1, true);',
    'const bytes = new Uint8Array(pointerSize === 8 ? 0x40 : 0x28);',
    "format: image.pointerSize === 8 ? 'PE32+' : 'PE32',",
    'const struct = pointerSize === 8 ? OPTIONAL_HEADER64 : OPTIONAL_HEADER32;',
  ])('takes it for a width: %s', (line) => {
    expect(asksForAPointersSize(line)).toEqual([]);
  });
});
