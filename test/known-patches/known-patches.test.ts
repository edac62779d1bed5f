import { describe, expect, it } from 'vitest';
import { missingForMake } from '../../builder/index.js';
import { evaluatePackage } from '../../scripts/known-patches/evaluate.js';
import { KNOWN_PATCHES } from '../../scripts/known-patches/list.js';
import { PACKAGES } from '../../scripts/known-patches/packages.js';
import { isShown, runCase } from '../../scripts/known-patches/run.js';
import { fetchedPackage } from '../../scripts/known-patches/sources.js';

/** A cut of three packages; `npm run known-patches -- fetch cjson c-ares openjpeg2` fetches their sources. */
const CUT: readonly [string, string][] = [
  ['cjson', 'CVE-2025-57052.patch'],
  ['c-ares', 'CVE-2022-4904.diff'],
  ['openjpeg2', 'CVE-2024-56827.patch'],
];

const lacksCompiler = missingForMake().length > 0;

describe('known patches', () => {
  it('are 85 fixes of eleven packages, each with its command line', () => {
    const patches = Object.values(KNOWN_PATCHES).flatMap((known) => known.patches);
    expect(Object.keys(KNOWN_PATCHES)).toHaveLength(11);
    expect(patches).toHaveLength(85);
    expect(patches.every(({ cves }) => cves.length > 0)).toBe(true);
    expect(Object.keys(KNOWN_PATCHES).filter((name) => PACKAGES[name] === undefined)).toEqual([]);
  });

  for (const [name, file] of CUT) {
    const missing = lacksCompiler
      ? 'no compiler'
      : fetchedPackage(name) === undefined
        ? 'sources not fetched'
        : '';
    it.skipIf(missing !== '')(
      `${name} ${file}${missing === '' ? '' : `: skipped, ${missing}`}`,
      async () => {
        const [evaluated] = await evaluatePackage(name, {
          architectures: ['x64'],
          only: (patch) => patch.file === file,
        });
        expect(evaluated?.made.map(({ verdict }) => verdict)).toEqual(['patched']);
        const runs = evaluated === undefined ? [] : runCase(evaluated);
        expect(runs.length).toBeGreaterThan(0);
        for (const ran of runs) expect([ran, isShown(ran)]).toEqual([ran, true]);
      },
      600_000,
    );
  }
});
