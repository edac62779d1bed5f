import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Lab } from 'hotpatch-lab';
import { findSymbols, readImage } from 'hotpatch-lab/image';
import { afterAll, describe, expect, it } from 'vitest';
import { attemptHotPatch, type BuildSource, type HotPatchAttempt } from '../../../builder/index.js';
import { type Architecture, buildImage, hasToolchain } from '../toolchain.js';
import { readSource } from '../victim.js';
import { DEFINITIONS, type FixCase, HEAD } from './case.js';
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
  const undecorated = architecture === 'x86' ? DEFINITIONS : DEFINITIONS;
  writeFileSync(definition, undecorated);
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
