import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  MakeError,
  type MakeInput,
  type MakeResult,
  makeBase,
  makeHotPatch,
  missingForMake,
} from '../../../builder/index.js';
import { readImage } from '../../../image/index.js';
import { hotpatch } from '../../cli/hotpatch.js';

const SOURCE = `#include <assert.h>
static int calls;
int shared = 7;
static int twice(int x) { return x * 2; }
int entry(int a, int b) { calls++; if (b == 0) return -calls; return twice(a) / b + shared; }
int checked(int x) { assert(x > 0); return x + calls; }
`;
const OTHER = `extern int shared;
static int calls = 100;
int other(int x) { calls += x; shared++; return calls; }
`;
const FIX = `--- a/entry.c
+++ b/entry.c
@@ -1,5 +1,7 @@
 #include <assert.h>
+#include <stddef.h>
 static int calls;
 int shared = 7;
-static int twice(int x) { return x * 2; }
+/* three times, after all */
+static int twice(int x) { return x * 3; }
 int entry(int a, int b) { calls++; if (b == 0) return -calls; return twice(a) / b + shared; }
`;

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'hotpatch-make-'));
  mkdirSync(join(root, 'tree'));
  writeFileSync(join(root, 'tree', 'entry.c'), SOURCE);
  writeFileSync(join(root, 'tree', 'other.c'), OTHER);
  writeFileSync(
    join(root, 'tree', 'Makefile'),
    'CFLAGS = -O2\nlibdemo.a: entry.o other.o\n\t$(AR) rcs $@ $^\n%.o: %.c\n\t$(CC) $(CFLAGS) -c $< -o $@\n',
  );
  writeFileSync(join(root, 'fix.patch'), FIX);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const folder = () => join(root, 'tree');
const make = (input: Partial<MakeInput> & { patch?: string }): Promise<MakeResult> => {
  const { patch = FIX, ...rest } = input;
  return makeHotPatch({
    source: folder(),
    patches: [{ name: 'fix.patch', text: patch }],
    ...(input.source === undefined
      ? { how: { kind: 'command', command: ['make', 'CC=hotpatch-cc'] } as const }
      : {}),
    out: join(root, 'out'),
    cache: join(root, 'cache'),
    ...rest,
  });
};
const ruleOf = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
  } catch (error) {
    if (error instanceof MakeError) return error.rule;
    throw error;
  }
  return 'none';
};

describe.skipIf(missingForMake().length > 0)('from a diff to a hotpatch', () => {
  it('builds the base alone as it is built for a hotpatch, byte for byte', async () => {
    const file = join(root, 'tree', 'other.c');
    const patch =
      '--- a/other.c\n+++ b/other.c\n@@ -3,1 +3,1 @@\n-int other(int x) { calls += x; shared++; return calls; }\n+int other(int x) { calls -= x; shared++; return calls; }\n';
    const harness = join(root, 'shared.c');
    writeFileSync(harness, 'int shared = 3;\n');
    const input = { source: [file], harness: [harness], cache: join(root, 'cache') };
    const [alone] = await makeBase({ ...input, out: join(root, 'alone') });
    const { architectures } = await make({ ...input, patch, out: join(root, 'both') });
    expect(alone?.exports).toContain('other');
    expect(architectures[0]?.hotPatch).toMatch(/other_hp\.dll$/);
    expect(readFileSync(alone?.base ?? '')).toEqual(readFileSync(architectures[0]?.base ?? ''));
  });

  it('for three architectures: functions, records, and code that runs as the fixed build does', async () => {
    const { code, json } = await hotpatch(
      'make',
      '--source',
      folder(),
      '--patch',
      join(root, 'fix.patch'),
      '--arch',
      'x64,arm64,x86',
      '--out',
      join(root, 'out'),
      '--cache',
      join(root, 'cache'),
      '--call',
      'entry 10 2',
      '--call',
      'checked 5',
      '--json',
      '--',
      'make',
      'CC=hotpatch-cc',
    );
    expect(code).toBe(0);
    const { architectures } = json as MakeResult & {
      architectures: { calls: { base: string; fixed: string; patched: string }[] }[];
    };
    expect(architectures.map(({ architecture }) => architecture)).toEqual(['x64', 'arm64', 'x86']);
    for (const { verdict, report, marked, calls, changedSources } of architectures) {
      expect(verdict).toBe('patched');
      // `checked` holds an assert behind the lines that the patch adds: its __LINE__ stays what it was.
      expect(report.patched.map(({ name }) => name)).toEqual(['entry']);
      expect(marked).toMatchObject([{ object: 'entry.obj', functions: ['entry'] }]);
      expect(changedSources).toEqual(['entry.c']);
      // 10 * 2 / 2 + 7 and 10 * 3 / 2 + 7.
      expect(calls.map(({ base, fixed, patched }) => [base, fixed, patched])).toEqual([
        ['0x11', '0x16', '0x16'],
        ['0x5', '0x5', '0x5'],
      ]);
    }
  }, 180_000);

  it('takes the base from the cache, and never writes into the tree that was given', async () => {
    const before = readdirSync(folder()).map((name) => `${name} ${statSync(join(folder(), name)).mtimeMs}`);
    await make({});
    const again = await make({});
    expect(again.architectures[0]?.baseWasCached).toBe(true);
    expect(readdirSync(folder()).map((name) => `${name} ${statSync(join(folder(), name)).mtimeMs}`)).toEqual(
      before,
    );
  }, 180_000);

  it('gives __ref_ pointers of one name in two objects names of their own', async () => {
    const patch = `${FIX}--- a/other.c
+++ b/other.c
@@ -1,3 +1,3 @@
 extern int shared;
 static int calls = 100;
-int other(int x) { calls += x; shared++; return calls; }
+int other(int x) { calls += x + 1; shared++; return calls; }
`;
    for (const architecture of ['x64', 'x86'] as const) {
      const { architectures } = await make({
        patch,
        architectures: [architecture],
        out: join(root, 'both'),
      });
      const [made] = architectures;
      expect(made?.report.findings.filter(({ severity }) => severity === 'refusal')).toEqual([]);
      expect(made?.renamedReferences.map((name) => name.replace(/^___/, '__')).sort()).toEqual([
        '__ref_calls',
        '__ref_shared',
      ]);
      const { json } = await hotpatch(
        'call',
        made?.base ?? '',
        'other',
        '1',
        '--patch',
        made?.hotPatch ?? '',
        '--repeat',
        '2',
        '--json',
      );
      // Its own `calls`, which begins at 100, not the other object's.
      expect((json as { results: { result: string }[] }).results.map(({ result }) => result)).toEqual([
        '0x66',
        '0x68',
      ]);
    }
  }, 180_000);

  it('for x86 exports functions of each calling convention by the name in the source', async () => {
    const file = join(root, 'conventions.c');
    writeFileSync(
      file,
      `static volatile int g;
int __fastcall quick(int a, int b) { g += a; return a / b; }
int __stdcall standard(int a, int b) { g += a; return quick(a, b) + 1; }
int __vectorcall vector(int a, int b) { return quick(b, a) + 2; }
int plain(int a) { return standard(a, 2) + vector(a, 3); }
`,
    );
    const patch = `--- a/conventions.c
+++ b/conventions.c
@@ -2,1 +2,1 @@
-int __fastcall quick(int a, int b) { g += a; return a / b; }
+int __fastcall quick(int a, int b) { g += a; return b == 0 ? -1 : a / b; }
`;
    for (const architecture of ['x86', 'x64'] as const) {
      const out = join(root, 'conventions');
      const { architectures } = await make({ source: [file], patch, architectures: [architecture], out });
      const base = architectures[0]?.base ?? '';
      const names = readImage(readFileSync(base), { file: base }).exports?.functions.map(({ name }) => name);
      expect(names?.sort()).toEqual(['plain', 'quick', 'standard', 'vector']);
      expect(architectures[0]?.verdict).toBe('patched');
    }
  }, 180_000);

  it('runs the build command again when the patch changes how it is built', async () => {
    const patch = `--- a/Makefile
+++ b/Makefile
@@ -1,2 +1,2 @@
-CFLAGS = -O2
+CFLAGS = -O2 -Dtwice=thrice -DEXTRA
 libdemo.a: entry.o other.o
--- a/entry.c
+++ b/entry.c
@@ -4,2 +4,2 @@
-static int twice(int x) { return x * 2; }
+static int twice(int x) { return x * 5; }
 int entry(int a, int b) { calls++; if (b == 0) return -calls; return twice(a) / b + shared; }
`;
    const { architectures } = await make({ patch, out: join(root, 'flags') });
    expect(architectures[0]?.report.patched.map(({ name }) => name)).toEqual(['entry']);
  }, 180_000);

  it('replaces a listed function that was inlined by its callers; one that exists nowhere is an error', async () => {
    const { architectures } = await make({ functions: ['twice'] });
    expect(architectures[0]?.marked[0]?.functions).toEqual(['entry']);
    expect(await ruleOf(make({ functions: ['thrice'] }))).toBe('function.unknown');
  }, 180_000);

  it('starts at a stage with what an earlier run has left; without one that is an error', async () => {
    const out = join(root, 'stages');
    expect(await ruleOf(make({ out, from: 'fixed' }))).toBe('stage');
    await make({ out, keepWork: true });
    for (const from of ['marks', 'fixed'] as const) {
      const { architectures } = await make({ out, keepWork: true, from });
      expect([from, architectures[0]?.report.patched.map(({ name }) => name)]).toEqual([from, ['entry']]);
    }
  }, 180_000);

  it('is refused, with the rule, when a type of shared objects changes its layout', async () => {
    const file = join(root, 'layout.c');
    writeFileSync(
      file,
      'struct pair { int a, b; };\nstruct pair pair = { 1, 2 };\nint sum(void) { return pair.a + pair.b; }\n',
    );
    const patch = `--- a/layout.c
+++ b/layout.c
@@ -1,3 +1,3 @@
-struct pair { int a, b; };
+struct pair { int z, a, b; };
 struct pair pair = { 1, 2 };
 int sum(void) { return pair.a + pair.b; }
`;
    const { architectures } = await make({ source: [file], patch, out: join(root, 'layout') });
    expect(architectures[0]?.verdict).toBe('refused');
    const rules = architectures[0]?.report.findings.filter(({ severity }) => severity === 'refusal');
    expect(rules?.map(({ rule }) => rule)).toContain('type.layout');
  }, 180_000);

  it.each<[string, string, Partial<MakeInput> & { patch?: string }]>([
    ['a patch for another version', 'patch.apply', { patch: FIX.replace('x * 2', 'x * 4') }],
    [
      'a patch that changes comments only',
      'noChange',
      {
        patch:
          '--- a/entry.c\n+++ b/entry.c\n@@ -2,2 +2,3 @@\n static int calls;\n+/* counted */\n int shared = 7;\n',
      },
    ],
    ['a command that fails', 'command', { how: { kind: 'command', command: ['false'] } }],
    ['a command that is not there', 'command', { how: { kind: 'command', command: ['no-such-command'] } }],
    ['a command that compiles nothing', 'product', { how: { kind: 'command', command: ['true'] } }],
    ['code that does not compile', 'compile', { patch: FIX.replace('x * 3', 'x * 3 +') }],
    ['a product that is not there', 'product', { products: ['nothing.dll'] }],
    ['an out folder in the tree', 'input', { out: 'TREE/out' }],
  ])(
    '%s ends with its rule',
    async (_name, rule, input) => {
      const { out = join(root, 'errors') } = input;
      expect(await ruleOf(make({ ...input, out: out.replace('TREE', folder()) }))).toBe(rule);
    },
    60_000,
  );
});

describe.skipIf(missingForMake().length > 0)('a new project', () => {
  it.each(['dll', 'driver'] as const)(
    '%s: builds at once, and its scenario holds',
    async (kind) => {
      const before = process.cwd();
      const place = mkdtempSync(join(root, 'new-'));
      process.chdir(place);
      try {
        expect((await hotpatch('new', kind, 'sample')).code).toBe(0);
        process.chdir(join(place, 'sample'));
        const arguments_ =
          /hotpatch (make .*)/.exec(readFileSync('README.md', 'utf8'))?.[1]?.split(' ') ?? [];
        const made = await hotpatch(...arguments_, '--cache', join(root, 'cache'));
        expect([made.code, made.stderr]).toEqual([0, '']);
      } finally {
        process.chdir(before);
      }
    },
    120_000,
  );
});

describe('without the compiler', () => {
  it('says what is missing and how to get it, and ends with 2', async () => {
    const path = process.env.PATH;
    const empty = join(root, 'empty');
    mkdirSync(empty, { recursive: true });
    chmodSync(empty, 0o755);
    process.env.PATH = empty;
    try {
      const { code, stderr } = await hotpatch(
        'make',
        '--source',
        folder(),
        '--patch',
        join(root, 'fix.patch'),
        '--out',
        join(root, 'none'),
        '--',
        'make',
      );
      expect(code).toBe(2);
      expect(stderr).toMatch(/clang-22.*\n.*apt-get install/);
    } finally {
      process.env.PATH = path;
    }
    expect(readFileSync(join(folder(), 'entry.c'), 'utf8')).toBe(SOURCE);
  });
});
