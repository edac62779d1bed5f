import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { applyPatches, MakeError, parsePatch } from '../../../builder/index.js';

const numbered = (count: number) =>
  `${Array.from({ length: count }, (_, i) => `line ${i + 1}`).join('\n')}\n`;

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'hotpatch-patch-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const put = (path: string, text: string) => {
  mkdirSync(join(root, path, '..'), { recursive: true });
  writeFileSync(join(root, path), text);
};
const get = (path: string) => readFileSync(join(root, path), 'latin1');
const apply = (...texts: string[]) =>
  applyPatches(
    root,
    texts.map((text, i) => ({ name: `${i}.patch`, text })),
  );
const ruleOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof MakeError) return error.rule;
    throw error;
  }
  return 'none';
};

describe('a unified diff', () => {
  it('is applied where its context is, wherever the hunk says that it lies', () => {
    put('notes', numbered(30));
    apply('--- a/notes\n+++ b/notes\n@@ -2,3 +2,3 @@\n line 20\n-line 21\n+line twenty-one\n line 22\n');
    expect(get('notes').split('\n')[20]).toBe('line twenty-one');
  });

  it.each([
    ['git', 'diff --git a/src/notes b/src/notes\n--- a/src/notes\n+++ b/src/notes\n'],
    ['diff -u of two files', '--- src/notes\t2026-01-01 00:00:00\n+++ src/fixed\t2026-01-01 00:00:00\n'],
    ['Debian', 'Description: a fix\nIndex: pkg/src/notes\n===\n--- pkg.orig/src/notes\n+++ pkg/src/notes\n'],
    ['two parts too many', '--- old/pkg/src/notes\n+++ new/pkg/src/notes\n'],
  ])('of %s finds its file', (_name, header) => {
    put('src/notes', numbered(3));
    apply(`${header}@@ -1,3 +1,3 @@\n line 1\n-line 2\n+two\n line 3\n`);
    expect(get('src/notes')).toBe('line 1\ntwo\nline 3\n');
  });

  it('may differ in two lines of context, not in three', () => {
    const hunk = (first: string) =>
      `--- a/notes\n+++ b/notes\n@@ -1,7 +1,7 @@\n${first} line 3\n-line 4\n+four\n line 5\n line 6\n line 7\n`;
    put('notes', numbered(9));
    apply(hunk(' other\n other\n'));
    expect(get('notes').split('\n')[3]).toBe('four');
    put('notes', numbered(9).replace('line 3', 'line three'));
    expect(ruleOf(() => apply(hunk(' other\n other\n')))).toBe('patch.apply');
  });

  it('makes, removes and renames files', () => {
    put('old', 'a\n');
    put('here', 'one\ntwo\n');
    apply(
      '--- /dev/null\n+++ b/new/file\n@@ -0,0 +1,2 @@\n+x\n+y\n--- a/old\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n' +
        'diff --git a/here b/there\nrename from here\nrename to there\n--- a/here\n+++ b/there\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n',
    );
    expect(get('new/file')).toBe('x\ny\n');
    expect(() => get('old')).toThrow();
    expect(() => get('here')).toThrow();
    expect(get('there')).toBe('one\n2\n');
  });

  it('keeps carriage returns, and a last line without an end', () => {
    put('dos', 'a\r\nb\r\nc\r\n');
    apply('--- a/dos\n+++ b/dos\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n');
    expect(get('dos')).toBe('a\r\nB\r\nc\r\n');
    put('end', 'a\nb');
    apply(
      '--- a/end\n+++ b/end\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+c\n\\ No newline at end of file\n',
    );
    expect(get('end')).toBe('a\nc');
  });

  it('changes nothing when one of its files does not match', () => {
    put('one', numbered(3));
    put('two', numbered(3));
    const text =
      '--- a/one\n+++ b/one\n@@ -1,3 +1,3 @@\n line 1\n-line 2\n+x\n line 3\n--- a/two\n+++ b/two\n@@ -1,3 +1,3 @@\n nothing\n-of this\n+is\n there\n';
    expect(ruleOf(() => apply(text))).toBe('patch.apply');
    expect(get('one')).toBe(numbered(3));
  });

  it('says that it has been applied before', () => {
    put('notes', 'a\nc\nd\ne\n');
    expect(() => apply('--- a/notes\n+++ b/notes\n@@ -1,3 +1,3 @@\n a\n-b\n+c\n d\n')).toThrow(MakeError);
    try {
      apply('--- a/notes\n+++ b/notes\n@@ -1,3 +1,3 @@\n a\n-b\n+c\n d\n');
    } catch (error) {
      expect(error instanceof MakeError ? error.hint : '').toMatch(/has been applied/);
    }
  });

  it('writes nowhere outside of the tree', () => {
    mkdirSync(join(root, 'tree'));
    writeFileSync(join(root, 'outside'), numbered(3));
    symlinkSync(root, join(root, 'tree', 'link'));
    const patch = (path: string) =>
      `--- a/${path}\n+++ b/${path}\n@@ -1,3 +1,3 @@\n line 1\n-line 2\n+x\n line 3\n`;
    const inTree = (text: string) => applyPatches(join(root, 'tree'), [{ name: 'p', text }]);
    for (const path of ['../outside', 'link/outside'])
      expect(ruleOf(() => inTree(patch(path)))).not.toBe('none');
    expect(get('outside')).toBe(numbered(3));
  });

  it.each([
    ['no diff at all', 'hello\n'],
    ['a hunk that ends early', '--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n a\n'],
    ['a hunk without a file', '@@ -1 +1 @@\n-a\n+b\n'],
    ['a binary patch', 'diff --git a/x b/x\nGIT binary patch\nliteral 0\n'],
    ['a line of no kind', '--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a\n?b\n'],
  ])('%s is an error with its line', (_name, text) => {
    expect(() => parsePatch(text, 'x.patch')).toThrow(/^x\.patch:\d+: /);
  });
});

/** What `__LINE__` is in each line that says so, by the rules of C: a line has the number of the one before plus 1, or what #line says. */
function lineNumbers(text: string): Map<string, number> {
  const found = new Map<string, number>();
  let number = 1;
  for (const line of text.split('\n')) {
    const given = /^#line (\d+)$/.exec(line)?.[1];
    if (given !== undefined) {
      number = Number(given);
      continue;
    }
    if (line.includes('MARK')) found.set(line.trim(), number);
    number++;
  }
  return found;
}

describe('__LINE__ of what a patch leaves alone', () => {
  const source = `int a;
int first(void) {
  return 1;
}
/* MARK comment that
   goes on */
int second(void) {
  MACRO(one,
        two);
  return __LINE__; /* MARK second */
}
#define LONG(x) \\
  do { x; } \\
  while (0)
int third(void) { return __LINE__; } /* MARK third */
int last(void) { return __LINE__; } /* MARK last */
`;
  const patches: [string, string][] = [
    [
      'lines added',
      '@@ -1,4 +1,7 @@\n int a;\n+int b;\n+int c;\n int first(void) {\n+  int x = 0;\n   return 1;\n }\n',
    ],
    ['lines removed', '@@ -1,4 +1,3 @@\n int a;\n int first(void) {\n-  return 1;\n }\n'],
    [
      'added inside the arguments of a macro',
      '@@ -7,4 +7,5 @@\n int second(void) {\n   MACRO(one,\n+        more,\n         two);\n   return __LINE__; /* MARK second */\n',
    ],
    [
      'added inside a continued macro',
      '@@ -12,3 +12,4 @@\n #define LONG(x) \\\n   do { x; } \\\n+  /* more */ \\\n   while (0)\n',
    ],
    ['added inside a comment', '@@ -5,2 +5,3 @@\n /* MARK comment that\n+   is longer and\n    goes on */\n'],
  ];

  it.each(patches)('stays the same: %s', (_name, hunk) => {
    put('demo.c', source);
    apply(`--- a/demo.c\n+++ b/demo.c\n${hunk}`);
    const before = lineNumbers(source);
    const after = lineNumbers(get('demo.c'));
    for (const [mark, number] of before) expect([mark, after.get(mark)]).toEqual([mark, number]);
  });

  it('stays the same over several patches of one file', () => {
    put('demo.c', source);
    apply(
      `--- a/demo.c\n+++ b/demo.c\n${patches[0]?.[1]}`,
      '--- a/demo.c\n+++ b/demo.c\n@@ -1,4 +1,5 @@\n int a;\n int b;\n int c;\n+int d;\n int first(void) {\n',
    );
    expect(lineNumbers(get('demo.c'))).toEqual(lineNumbers(source));
    expect(get('demo.c')).toContain('int c;\nint d;\n');
  });

  it('puts no directive into a continued macro, a comment or the arguments of a macro', () => {
    for (const [, hunk] of patches) {
      put('demo.c', source);
      apply(`--- a/demo.c\n+++ b/demo.c\n${hunk}`);
      const lines = get('demo.c').split('\n');
      for (const [i, line] of lines.entries())
        if (line.startsWith('#line')) expect(lines[i - 1]).not.toMatch(/\\$|,$|MARK comment|is longer/);
    }
  });

  it('leaves files that are no C alone', () => {
    put('Makefile', numbered(5));
    apply('--- a/Makefile\n+++ b/Makefile\n@@ -1,2 +1,3 @@\n line 1\n+more\n line 2\n');
    expect(get('Makefile')).not.toContain('#line');
  });
});
