import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { buildImage, hasToolchain } from '../../toolchain.js';
import { readSource } from '../../victim.js';
import { attempt } from './refusal.js';
import { SOURCE_PAIRS_2003, type SourcePair2003 } from './sources.js';

const available = hasToolchain();
if (!available)
  console.warn(
    'SKIPPED: clang-22, lld-link-22 and llvm-dlltool-22 are not installed; no refusals of compiled builds are tested',
  );

describe.skipIf(!available)('compiled builds and hotpatches of 2003', () => {
  const work = mkdtempSync(join(tmpdir(), 'hotpatch-refused-2003-'));
  afterAll(() => rmSync(work, { recursive: true, force: true }));

  it.each(SOURCE_PAIRS_2003)('$rule refuses, $processor: $what', (pair) => {
    const { findings } = attempt(input(work, pair, false));
    const refusals = findings.filter(({ severity }) => severity === 'refusal');
    expect(new Set(refusals.map(({ rule }) => rule))).toEqual(new Set([pair.rule]));
    expect(refusals.map(({ symbol }) => symbol)).toContain(pair.symbol);
  });

  it.each(SOURCE_PAIRS_2003)('the nearest neighbour of $rule is accepted, $processor: $what', (pair) => {
    const { built, findings } = attempt(input(work, pair, true));
    expect(findings).toEqual([]);
    expect(built?.functions.map(({ name }) => name)).toEqual(['f']);
  });
});

function input(work: string, pair: SourcePair2003, accepted: boolean) {
  const build = (fix: 0 | 1) => {
    const folder = join(work, `${pair.rule}-${Number(accepted)}-${fix}`);
    mkdirSync(folder, { recursive: true });
    const file = join(folder, 'a.c');
    writeFileSync(file, pair.source);
    const flags = [`-DHP_FIX=${fix}`, `-DACCEPTED=${Number(accepted)}`];
    const path = buildImage({
      architecture: pair.processor,
      folder,
      image: 'victim.dll',
      sources: [{ file, flags, unprepared: pair.unprepared === true && !accepted }],
      entry: pair.processor === 'x86' ? 'start@12' : 'start',
    });
    return readSource(path);
  };
  return { base: build(0), fixed: build(1) };
}
