import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hotpatch } from './hotpatch.js';

const work = mkdtempSync(join(tmpdir(), 'hotpatch-completion-'));
afterAll(() => rmSync(work, { recursive: true }));

const COMMANDS =
  'run call inspect check build verify explore step gdb workbench trace dump scan exports doctor completion'.split(
    ' ',
  );

beforeAll(async () => {
  mkdirSync(join(work, 'images'));
  for (const name of ['a b.dll', 'demo.dll', 'images/x.sys']) writeFileSync(join(work, name), '');
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { code, stdout } = await hotpatch('completion', shell);
    expect(code).toBe(0);
    writeFileSync(join(work, `hotpatch.${shell}`), stdout);
  }
});

const has = (shell: string) => spawnSync(shell, ['--version']).status === 0;

/** What bash offers for the last word. */
function complete(...words: string[]): string[] {
  const script = `. ./hotpatch.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _hotpatch; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync('bash', ['-c', script, 'bash', 'hotpatch', ...words], {
    cwd: work,
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  return stdout.split('\n').filter((line) => line !== '');
}

describe.skipIf(!has('bash'))('bash', () => {
  it('offers commands', () => {
    expect(complete('')).toEqual(expect.arrayContaining([...COMMANDS, '--help']));
    expect(complete('ex')).toEqual(['explore', 'exports']);
    expect(complete('--debug', 'ver')).toEqual(['verify']);
  });

  it.each([
    { words: ['explore', '--fe'], offered: ['--fetch'] },
    { words: ['explore', '--fetch', ''], offered: ['coherent', 'weak'] },
    { words: ['explore', '--fetch', 'w'], offered: ['weak'] },
    { words: ['call', '--pause-at', ''], offered: [] },
    { words: ['check', 'dem'], offered: ['demo.dll'] },
    { words: ['check', 'a'], offered: ['a b.dll'] },
    { words: ['check', 'images/'], offered: ['images/x.sys'] },
    { words: ['check', 'demo.dll', '--sy'], offered: ['--symbols'] },
    { words: ['call', 'demo.dll', 'f'], offered: [] },
    { words: ['call', '--patch', 'dem'], offered: ['demo.dll'] },
    { words: ['call', '--seed', '1', 'dem'], offered: ['demo.dll'] },
    { words: ['run', 'demo.dll', 'im'], offered: ['images'] },
    { words: ['completion', ''], offered: ['bash', 'zsh', 'fish'] },
    { words: ['inspect', '--only', 'sec'], offered: ['sections'] },
  ])('$words', ({ words, offered }) => expect(complete(...words)).toEqual(offered));
});

describe.skipIf(!has('fish'))('fish', () => {
  const complete = (line: string) => {
    const script = `source hotpatch.fish; complete -C '${line}'`;
    const { stdout } = spawnSync('fish', ['--no-config', '-c', script], { cwd: work, encoding: 'utf8' });
    return stdout.split('\n').flatMap((text) => text.split('\t')[0] || []);
  };

  it.each([
    { line: 'hotpatch ex', offered: ['explore', 'exports'] },
    { line: 'hotpatch explore --fet', offered: ['--fetch'] },
    { line: 'hotpatch explore --fetch ', offered: ['coherent', 'weak'] },
    { line: 'hotpatch completion z', offered: ['zsh'] },
    { line: 'hotpatch check dem', offered: ['demo.dll'] },
  ])('$line', ({ line, offered }) => expect(complete(line)).toEqual(offered));
});

describe.each(['bash', 'zsh', 'fish'])('%s', (shell) => {
  it.skipIf(!has(shell))('takes the script', () => {
    const { status, stderr } = spawnSync(shell, ['-n', join(work, `hotpatch.${shell}`)], {
      encoding: 'utf8',
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });
});
