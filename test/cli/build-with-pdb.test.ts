import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { buildImage, hasToolchain } from '../corpus/toolchain.js';
import { hotpatch } from './hotpatch.js';

const available = hasToolchain();
if (!available) console.warn('SKIPPED: clang-22 is not installed; no build with a PDB is tested');

/** Two variables in one chunk (-fno-data-sections): only their types say how large they are. */
const SOURCE = `
#define X __declspec(dllexport)
X volatile int counter = 1;
X int limits[3] = { 7, 8, 9 };
X int f(int a) { counter++; return limits[a & 1] + FIX; }
int start(void *h, unsigned r, void *p) { return 1; }
`;

describe.skipIf(!available)('a build with its PDB beside it, generation 2003', () => {
  const work = mkdtempSync(join(tmpdir(), 'hotpatch-pdb-'));
  afterAll(() => rmSync(work, { recursive: true, force: true }));

  const build = (processor: 'x86' | 'x64', fix: number, more: readonly string[] = []) => {
    const folder = join(work, `${processor}-${fix}${more.join('')}`);
    mkdirSync(folder, { recursive: true });
    const file = join(folder, 'a.c');
    writeFileSync(file, SOURCE);
    const path = buildImage({
      architecture: processor,
      folder,
      image: 'counted.dll',
      sources: [{ file, flags: [`-DFIX=${fix}`, '-fno-data-sections', ...more] }],
      entry: 'start',
    });
    rmSync(join(folder, 'counted.map'));
    return path;
  };
  const run = (base: string, fixed: string) =>
    hotpatch(
      'build',
      '--generation',
      '2003',
      '--base',
      base,
      '--fixed',
      fixed,
      '--out',
      join(work, 'hp.dll'),
    );

  it.each(['x86', 'x64'] as const)('%s: it is found, and says all sizes', async (processor) => {
    const built = await run(build(processor, 1), build(processor, 2));
    expect(built).toMatchObject({ code: 0, stderr: '' });
    expect(built.stdout).toContain('  f\n');
    expect(existsSync(join(work, 'hp.dll'))).toBe(true);
  });

  it('without types in it, what is missing is said: not that there is none', async () => {
    const { stderr } = await run(build('x64', 1, ['-g0']), build('x64', 2, ['-g0']));
    expect(stderr).toContain('the PDB of the base has no size of counter, limits');
    expect(stderr).toContain('symbols.noSizes');
  });

  it('one of another build is passed over, and that is said', async () => {
    const [base, fixed] = [build('x64', 3), build('x64', 4)];
    renameSync(fixed.replace('.dll', '.pdb'), base.replace('.dll', '.pdb'));
    const { stderr } = await run(base, fixed);
    expect(stderr).toMatch(/passed over: .*counted\.pdb.*GUID/);
  });
});
