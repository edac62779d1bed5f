import { describe, expect, it } from 'vitest';
import { parseCompilerArguments, parseLinkerArguments, splitWords } from '../../../builder/make/arguments.js';

const parse = (line: string) => parseCompilerArguments(splitWords(line), '/tree');

describe('what a compiler driver is asked for', () => {
  it.each([
    ['-c a.c -o a.o', { mode: 'compile', sources: ['a.c'], output: 'a.o', flags: [] }],
    ['-O2 -DX="a b" -I inc -c a.c', { mode: 'compile', flags: ['-O2', '-DX=a b', '-I', 'inc'] }],
    ['-fPIC -O2 -fstack-protector-strong -flto=auto -m64 -Werror=format -c a.c', { flags: ['-O2'] }],
    [
      '-shared -o libx.so a.o b.o -Lz -lz',
      { mode: 'link', isShared: true, linkInputs: ['a.o', 'b.o', '-lz'] },
    ],
    [
      '-Wl,--no-undefined,-soname,x -o x.exe a.c',
      { mode: 'link', sources: ['a.c'], linkerFlags: ['--no-undefined', '-soname', 'x'] },
    ],
    ['-E a.c', { mode: 'preprocess' }],
    ['-MD -c src/a.c -o obj/a.o', { dependencyFile: 'obj/a.d' }],
    ['-MMD -MF dep -MT t -c a.c', { dependencyFile: 'dep', flags: ['-MMD', '-MT', 't'] }],
    ['--version', { mode: 'query' }],
    ['-v', { mode: 'query' }],
    ['-x c - -c -o a.o', { mode: 'compile', sources: ['-'] }],
    ['-include config.h -c a.c', { flags: ['-include', 'config.h'], sources: ['a.c'] }],
  ])('%s', (line, expected) => expect(parse(line)).toMatchObject(expected));
});

describe('what a linker is asked for', () => {
  it('in the manner of link.exe', () => {
    expect(
      parseLinkerArguments(
        [
          '/nologo',
          '/DLL',
          '/out:x.dll',
          'a.obj',
          'b.lib',
          '/export:f',
          '/debug',
          '/libpath:lib',
          '/tmp/c.obj',
        ],
        '/tree',
      ),
    ).toEqual({
      output: 'x.dll',
      isDll: true,
      inputs: ['a.obj', 'b.lib', '/tmp/c.obj'],
      libraryFolders: ['lib'],
      flags: ['/export:f'],
    });
  });
});

describe('words of a command', () => {
  it.each([
    [`a 'b c' "d \\" e" f\\ g`, ['a', 'b c', 'd " e', 'f g']],
    [`-DX='"text"'`, ['-DX="text"']],
    ['', []],
    [`''`, ['']],
  ])('%s', (text, words) => expect(splitWords(text)).toEqual(words));
});
