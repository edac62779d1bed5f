import { describe, expect, it } from 'vitest';
import { difference, readBlocks, readConsole } from './blocks.js';

describe('a page', () => {
  it('is taken apart into blocks with what is said above them', () => {
    const page = 'text\n\n```console\n$ a\n```\n\n<!-- docs: file=x.ts exit=1 -->\n\n```ts\nlet a;\n```\n';
    expect(readBlocks(page)).toEqual([
      { language: 'console', text: '$ a', line: 3, directives: { exit: 0 } },
      { language: 'ts', text: 'let a;', line: 9, directives: { exit: 1, file: 'x.ts' } },
    ]);
  });

  it.each([
    { page: '<!-- docs: skip -->\n```sh\na\n```', text: "'skip' is not file=NAME" },
    { page: '<!-- docs: files=x -->\n```sh\na\n```', text: "'files=x' is not" },
    { page: '```sh\na\n', text: 'has no end' },
  ])('is refused when it says $text', ({ page, text }) => {
    expect(() => readBlocks(page)).toThrow(text);
  });
});

describe('a console block', () => {
  it('is commands with their outputs', () => {
    expect(readConsole('$ a \\\n    b\nx\n\n$ c\n$ d\ny\nz')).toEqual([
      { command: 'a \\\n    b', output: 'x' },
      { command: 'c', output: '' },
      { command: 'd', output: 'y\nz' },
    ]);
    expect(() => readConsole('x\n$ a')).toThrow("begins with '$ '");
  });
});

describe('shown and printed output', () => {
  it.each([
    { shown: '', printed: '\n' },
    { shown: 'a\nb', printed: '\na  \nb\n' },
    { shown: 'a\n…\nd', printed: 'a\nb\nc\nd' },
    { shown: 'a\n…', printed: 'a\nb\nc' },
    { shown: '…\nc', printed: 'a\nb\nc' },
    { shown: 'took … ms (…)', printed: 'took 12 ms (x)' },
    { shown: '…', printed: '' },
  ])('fit: $shown', ({ shown, printed }) => {
    expect(difference(shown, printed)).toBeUndefined();
  });

  it.each([
    { shown: '', printed: 'a', text: 'printed, but not shown: a' },
    { shown: 'a', printed: 'b', text: 'shown:   a\nprinted: b' },
    { shown: 'a\nb', printed: 'a', text: 'shown:   b\nprinted: (nothing more)' },
    { shown: 'a\n…\nd', printed: 'a\nb\nc', text: 'never printed after line 1: d' },
    { shown: 'a\n…\nd', printed: 'a\nd\ne', text: 'printed, but not shown: e' },
    { shown: '1.5…', printed: '1x5 s', text: 'shown:   1.5…\nprinted: 1x5 s' },
  ])('differ: $shown', ({ shown, printed, text }) => {
    expect(difference(shown, printed)).toBe(text);
  });
});
