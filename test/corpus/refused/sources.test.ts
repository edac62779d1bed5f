import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { BUILD_RULES, BuildError, buildHotPatch } from '../../../builder/index.js';
import { FIX_CASES } from '../fixes/cases.js';
import { buildImage, hasToolchain } from '../toolchain.js';
import { readSource } from '../victim.js';
import { DATA_REFUSALS, FUNCTION_REFUSALS } from './functions.js';
import { IMAGE_REFUSALS } from './images.js';
import { SOURCE_PAIRS, type SourcePair } from './sources.js';
import { BAD_TABLES } from './tables.js';

const available = hasToolchain();
if (!available)
  console.warn(
    'SKIPPED: clang-22, lld-link-22 and llvm-dlltool-22 are not installed; no refusals of compiled builds are tested',
  );

describe.skipIf(!available)('compiled builds of which no hotpatch may be made', () => {
  const work = mkdtempSync(join(tmpdir(), 'hotpatch-refused-'));
  afterAll(() => rmSync(work, { recursive: true, force: true }));

  it.each(SOURCE_PAIRS.map((pair, index) => ({ ...pair, index })))('$rule: $what', (pair) => {
    const base = build(pair, 0, join(work, `${pair.index}-base`));
    const fixed = build(pair, 1, join(work, `${pair.index}-fixed`));
    let error: unknown;
    try {
      buildHotPatch({ base, fixed });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(BuildError);
    const findings = error instanceof BuildError ? error.findings : [];
    const refusals = findings.filter(({ severity }) => severity === 'refusal');
    expect(refusals.map(({ rule }) => rule)).toContain(pair.rule);
    if (pair.symbol !== undefined)
      expect(refusals.filter(({ rule }) => rule === pair.rule).map(({ symbol }) => symbol)).toContain(
        pair.symbol,
      );
  });
});

describe('the list of refusals', () => {
  const covered = [
    ...IMAGE_REFUSALS,
    ...FUNCTION_REFUSALS,
    ...DATA_REFUSALS,
    ...SOURCE_PAIRS,
    ...BAD_TABLES,
    ...FIX_CASES.flatMap(({ refused }) => (refused === undefined ? [] : { rule: refused })),
  ];

  it('has at least forty patches that must be refused', () => {
    expect(covered.length).toBeGreaterThanOrEqual(40);
  });

  it('shows every rule that refuses', () => {
    const shown = new Set<string>(covered.map(({ rule }) => rule));
    // Those of the 2003 generation are for its own builder.
    const rules = BUILD_RULES.filter(
      ({ id, severity }) => severity === 'refusal' && !id.startsWith('hotp1.'),
    ).map(({ id }) => id);
    expect(rules.filter((rule) => !shown.has(rule))).toEqual([]);
  });
});

function build(pair: SourcePair, fix: 0 | 1, folder: string) {
  const { architecture = 'x64', files, marked = [], linkerFlags, unpadded, unprepared = false } = pair;
  const sources = files.map((text, i) => {
    const file = join(work(folder), `${'abc'[i]}.c`);
    writeFileSync(file, text);
    return fix === 0 ? { file, flags: ['-DHP_FIX=0'], unprepared } : { file, flags: ['-DHP_FIX=1'], marked };
  });
  const path = buildImage({
    architecture,
    folder,
    image: 'victim.dll',
    sources,
    entry: architecture === 'x86' ? 'start@12' : 'start',
    ...(linkerFlags === undefined ? {} : { linkerFlags }),
    ...(unpadded === undefined ? {} : { hotpatchable: !unpadded }),
  });
  return readSource(path);
}

function work(folder: string): string {
  mkdirSync(folder, { recursive: true });
  return folder;
}
