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

/** The host's processor: it picks what is fetched, and which machine code this process can run. */
const OF_THE_HOST: readonly string[] = ['cpu/unicorn/find.ts', 'cpu/unicorn/host-code.ts'];
const COMPARISON = /[!=]== '(?:x64|x86|arm64|x86-64)'/;

describe('what differs between architectures', () => {
  it('stands in architecture objects and in records that the compiler wants complete', () => {
    const files = execFileSync('git', ['ls-files', ...ROOMS.map((room) => `${room}/**.ts`)], {
      cwd: root,
      encoding: 'utf8',
    })
      .split('\n')
      .filter((file) => file !== '');
    expect(files.length).toBeGreaterThan(500);
    const asking = files.filter((file) => COMPARISON.test(readFileSync(join(root, file), 'utf8')));
    expect(asking).toEqual(OF_THE_HOST);
  });
});
