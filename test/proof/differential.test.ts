import { readFileSync } from 'node:fs';
import { readImage } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { buildHotPatch } from '../../builder/index.js';
import { compareBehaviour } from '../../proof/index.js';
import { readSource } from '../corpus/victim.js';
import { fixture } from '../support.js';

const sources = (fixed: string) => ({
  base: readSource(fixture('x64/base/demo.dll')),
  fixed: readSource(fixture(fixed)),
  with: [readSource(fixture('x64/hpimport.dll'))],
});
const calls = [{ function: 'hp_entry', arguments: [0n, 3n, 4n] }];

describe('the calls that a verification makes', () => {
  it('agree where the patch is right, wherever it lands', async () => {
    const { base, fixed, with: others } = sources('x64/fixed/demo.dll');
    const { bytes, chunks } = buildHotPatch({ base, fixed });
    const patched = chunks
      .filter(({ direction, type }) => direction === 'forward' && type === 'FUNCTION')
      .flatMap(({ records }) => records.map(({ rva }) => rva));
    const report = await compareBehaviour({
      base,
      fixed,
      patch: readImage(bytes, { file: 'demo_hp.dll' }),
      patched,
      calls,
      with: others,
      places: 12,
    });
    expect(report.disagreements).toEqual([]);
    expect(report.places).toBeGreaterThan(2);
  });

  it('disagree where another build was fixed', async () => {
    const { base, with: others } = sources('x64/fixed/demo.dll');
    const patch = readImage(new Uint8Array(readFileSync(fixture('x64/patch/demo_hp.dll'))), {
      file: 'demo_hp.dll',
    });
    const report = await compareBehaviour({ base, fixed: base, patch, patched: [], calls, with: others });
    expect(report.disagreements.map(({ kind }) => kind)).toEqual(['fresh']);
  });
});
