import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Lab } from 'hotpatch-lab';
import { findAllSymbols, findSymbols, readImage } from 'hotpatch-lab/image';
import { afterAll, describe, expect, it } from 'vitest';
import { attemptHotPatch, type BuildSource, type HotPatchAttempt } from '../../../builder/index.js';
import { type Architecture, buildImage, hasToolchain } from '../toolchain.js';
import { readSource } from '../victim.js';
import { DEFINITIONS, ENTRY, type FixCase, HEAD } from './case.js';
import { FIX_CASES } from './cases.js';

const available = hasToolchain();
if (!available) console.warn('SKIPPED: no clang-22 and lld-link-22; no hard fixes are tested');

const ONLY = process.env.HOTPATCH_FIX;
const TABLE = FIX_CASES.filter(({ what }) => ONLY === undefined || what.includes(ONLY)).flatMap((entry) =>
  (entry.architectures ?? (['x64', 'arm64'] as const)).map((architecture) => ({ ...entry, architecture })),
);

describe.skipIf(!available)('fixes that a patch builder finds hard', () => {
  const work = mkdtempSync(join(tmpdir(), 'hotpatch-fixes-'));
  afterAll(() => rmSync(work, { recursive: true, force: true }));

  it.each(TABLE.map((entry, index) => ({ ...entry, index })))('$what, $architecture', async (entry) => {
    const { architecture, index } = entry;
    const [base, fixed] = ([0, 1] as const).map((fix) =>
      build(entry, architecture, fix, join(work, `${index}-${fix}`)),
    ) as [BuildSource, BuildSource];
    const attempt = attemptHotPatch({
      base,
      fixed,
      ...(entry.pairs === undefined ? {} : { pairs: entry.pairs }),
    });
    const { findings } = attempt.report;
    const of = (severity: string) =>
      findings.filter((finding) => finding.severity === severity).map(({ rule }) => rule);
    if (entry.refused !== undefined) {
      expect(of('refusal'), textOf(attempt)).toContain(entry.refused);
      return;
    }
    expect(of('refusal'), textOf(attempt)).toEqual([]);
    if (entry.warned !== undefined) expect(of('warning'), textOf(attempt)).toContain(entry.warned);
    if (entry.isQuiet)
      expect(
        of('warning').filter((rule) => rule !== entry.warned && rule !== 'function.unmarked'),
        textOf(attempt),
      ).toEqual([]);
    if (entry.right !== undefined) await expectResults(entry, base, fixed, attempt);
  });

  it('says where the fixed source begins a patched function', () => {
    const entry: FixCase = {
      what: 'lines',
      files: {
        't.c': `EXPORT int __stdcall DriverEntry(void *driver, void *path) { return 0; }
#if HP_FIX
#line 70 "fixed.c"
EXPORT NOINLINE int Changed(int x) { return x + 2; }
#else
#line 40 "base.c"
EXPORT NOINLINE int Changed(int x) { return x + 1; }
#endif
EXPORT NOINLINE int Same(int x) { return x * 3; }
`,
      },
    };
    const [base, fixed] = ([0, 1] as const).map((fix) =>
      build(entry, 'x64', fix, join(work, `lines-${fix}`)),
    );
    if (base === undefined || fixed === undefined) throw new Error('not built');
    const { patched } = attemptHotPatch({ base, fixed }).report;
    expect(patched).toMatchObject([{ name: 'Changed', file: expect.stringMatching(/fixed\.c$/), line: 70 }]);
  });
});

describe.skipIf(!available)('the list of functions to mark', () => {
  const work = mkdtempSync(join(tmpdir(), 'hotpatch-marks-'));
  afterAll(() => rmSync(work, { recursive: true, force: true }));

  it.each([
    {
      what: 'a function of an anonymous namespace',
      architecture: 'x64',
      files: {
        'a.cpp': `namespace { int g; NOINLINE int f(int x) { g += x + HP_FIX; return g; } }
        extern "C" { EXPORT int TA(int x) { return f(x); } ${ENTRY} }`,
      },
      names: [/^\?f@\?A0x[0-9A-F]+@@YAHH@Z$/],
    },
    {
      what: 'a template that a lambda is given to',
      architecture: 'arm64',
      files: {
        'a.cpp': `static int g; template <class F> NOINLINE int ap(F f, int x) { return f(x) + g++; }
        extern "C" { NOINLINE int go(int x) { int k = x * 2; return ap([&](int y) { k += HP_FIX; return y * k; }, 2) + k; }
        EXPORT int T(int x) { return go(x); } ${ENTRY} }`,
      },
      names: [/^\?\?\$ap@V/],
    },
    {
      what: 'two names of one function',
      architecture: 'x64',
      files: {
        'a.c': `static int g; NOINLINE int real(int x) { g += x; return g + HP_FIX; } int other(int x) __attribute__((alias("real")));
        EXPORT int T(int x) { return other(x) + real(x); } ${ENTRY}`,
      },
      names: [/^other$/, /^real$/],
    },
    {
      what: 'stdcall and fastcall',
      architecture: 'x86',
      files: {
        'a.c': `static int g; NOINLINE int __stdcall f(int a, int b) { g += a * b + HP_FIX; return g; }
        NOINLINE int __fastcall h(int a, int b, int c) { g ^= a + b * c; return g + HP_FIX; }
        EXPORT int T(int x) { return f(x, 3) + h(x, 2, 1); } ${ENTRY}`,
      },
      names: [/^@h@12$/, /^_f@8$/],
    },
  ] as const)('makes the build pass: $what, $architecture', ({ what, architecture, files, names }) => {
    const folder = (name: string) => join(work, `${what}-${name}`);
    const entry: FixCase = { what, files, hasMap: true };
    const base = build(entry, architecture, 0, folder('base'));
    const first = attemptHotPatch({ base, fixed: build(entry, architecture, 1, folder('fixed')) });
    const { functions } = first.report.suggestion;
    for (const name of names) expect(functions).toContainEqual(expect.stringMatching(name));
    // LLVM has a byte 1 before a name that is the linker's already.
    const marked = functions.map((name) => (/^[_@].*@\d+$/.test(name) ? `\x01${name}` : name));
    const fixed = build({ ...entry, marked }, architecture, 1, folder('fixed'));
    expect(first.built).toBeUndefined();
    expect(
      attemptHotPatch({ base, fixed }).report.findings.filter(({ severity }) => severity === 'refusal'),
    ).toEqual([]);
  });
});

async function expectResults(
  { before = [], after = [], right = [], inFlight }: FixCase,
  base: BuildSource,
  fixed: BuildSource,
  { built, functions }: HotPatchAttempt,
): Promise<void> {
  if (built === undefined) throw new Error('no hotpatch was made');
  const patch = readImage(built.bytes, { file: 't_hp.sys' });
  const boot = async () => {
    const lab = await Lab.boot({ architecture: base.image.architecture, processors: 2, seed: 1 });
    const driver = lab.kernel.loadImage(base.image, { name: 't.sys', symbols: base.symbols });
    const call = (text: string) => {
      const [name = '', ...parameters] = text.split(' ');
      return lab.call(driver.symbol(name), parameters.map(BigInt));
    };
    const apply = () => lab.engine.load(patch, { name: 't_hp.sys', symbols: fixed.symbols });
    return { lab, driver, call, apply };
  };
  const why = functions
    .filter(({ role }) => role !== 'out')
    .map(({ name, role, reasons }) => `${name} ${role}: ${reasons.join('; ')}`)
    .join('\n');
  const fresh = await boot();
  for (const text of before) fresh.call(text);
  fresh.apply();
  expect(after.map(fresh.call), why).toEqual(right);
  fresh.lab[Symbol.dispose]();
  if (inFlight === undefined) return;
  const { lab, driver, apply } = await boot();
  const [name = '', ...parameters] = inFlight.call.split(' ');
  const thread = lab.startThread(driver.symbol(name), parameters.map(BigInt));
  lab.run({ until: thread.reaches(driver.symbol(inFlight.at)) });
  apply();
  lab.run({ until: thread.returns() });
  expect(thread.result, why).toBe(inFlight.result);
  lab[Symbol.dispose]();
}

function build(entry: FixCase, architecture: Architecture, fix: 0 | 1, folder: string): BuildSource {
  mkdirSync(folder, { recursive: true });
  const definition = join(folder, 'ntos.def');
  writeFileSync(definition, DEFINITIONS);
  const sources = Object.entries(entry.files).map(([name, text]) => {
    const file = join(folder, name);
    writeFileSync(file, HEAD + text);
    const flags = [
      `-DHP_FIX=${fix}`,
      '-w',
      ...(entry.compilerFlags ?? []),
      ...(name.endsWith('.cpp') ? ['-std=c++20', '-fno-exceptions', '-fno-rtti'] : []),
    ];
    return fix === 0 ? { file, flags } : { file, flags, marked: entry.marked ?? [] };
  });
  const path = buildImage({
    architecture,
    folder,
    image: 't.sys',
    sources,
    imports: [definition],
    ...(entry.linkerFlags === undefined ? {} : { linkerFlags: entry.linkerFlags }),
  });
  if (entry.hasMap) {
    const { image } = readSource(path);
    const { table, pdb } = findAllSymbols({ image, path });
    return { image, symbols: table, pdb };
  }
  if (!entry.isMapOnly) return readSource(path);
  const { image } = readSource(path);
  const found = findSymbols({ image, path }, { symbolsFile: path.replace(/sys$/, 'map') });
  return { image, symbols: found.table };
}

function textOf({ report, functions }: HotPatchAttempt): string {
  return [
    ...report.findings.map(
      ({ severity, rule, symbol, message }) => `${severity} ${rule} ${symbol}: ${message}`,
    ),
    ...functions
      .filter(({ role }) => role !== 'out')
      .map(({ name, role, reasons }) => `${name} ${role}: ${reasons.join('; ')}`),
    ...report.variables.map(({ name, state, why }) => `${name} ${state}: ${why}`),
  ].join('\n');
}
