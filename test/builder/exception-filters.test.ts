import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EngineName, Lab } from 'hotpatch-lab';
import { type PeImage, readImage } from 'hotpatch-lab/image';
import { afterAll, describe, expect, it } from 'vitest';
import { type BuildSource, buildHotPatch, buildHotPatch2003 } from '../../builder/index.js';
import { buildImage, hasToolchain } from '../corpus/toolchain.js';
import { readSource } from '../corpus/victim.js';

/** Filter and `__finally` are functions of their own; on x64 only the unwind data of `f` leads to them. */
const SOURCE = `
#define EXPORT __declspec(dllexport)
#define NOINLINE __attribute__((noinline))
int __stdcall start(void *m, unsigned r, void *p) { (void)m; (void)r; (void)p; return 1; }
static int s_faults, s_left;
EXPORT int faults(void) { return s_faults; }
EXPORT int left(void) { return s_left; }
static NOINLINE int load(const int *from) { return *from; }
EXPORT NOINLINE int f(const int *from) {
  int value;
  __try {
    __try { value = load(from) + HP_FIX; } __finally { s_left++; }
  } __except (++s_faults, 1) { value = -1 - HP_FIX; }
  return value;
}`;

interface Generation {
  readonly generation: string;
  readonly architecture: 'x86' | 'x64';
  readonly engine: EngineName;
  readonly marked: readonly string[];
  build(builds: { readonly base: BuildSource; readonly fixed: BuildSource }): PeImage;
}

const OLD: Omit<Generation, 'architecture'> = {
  generation: '2003',
  engine: 'server-2003',
  marked: [],
  build: (builds) => buildHotPatch2003(builds).image,
};

const GENERATIONS: readonly Generation[] = [
  {
    generation: 'modern',
    architecture: 'x64',
    engine: 'modern',
    marked: ['f'],
    build: (builds) => readImage(buildHotPatch(builds).bytes, { file: 'victim_hp.dll' }),
  },
  { ...OLD, architecture: 'x64' },
  // There code and scope tables hold addresses, as any other data.
  { ...OLD, architecture: 'x86' },
];

describe.skipIf(!hasToolchain())('functions with exception filters', () => {
  const work = mkdtempSync(join(tmpdir(), 'hotpatch-filters-'));
  afterAll(() => rmSync(work, { recursive: true, force: true }));

  it.each(GENERATIONS)('$generation, $architecture: filter and __finally count in the base', async (row) => {
    const { generation, architecture, engine, marked, build: hotPatch } = row;
    const definition = join(work, 'vcruntime140.def');
    writeFileSync(definition, 'LIBRARY vcruntime140.dll\nEXPORTS\n__C_specific_handler\n_except_handler3\n');
    const build = (fix: 0 | 1) => {
      const folder = join(work, `${generation}-${architecture}-${fix}`);
      mkdirSync(folder);
      const file = join(folder, 'a.c');
      writeFileSync(file, SOURCE);
      const sources = [{ file, flags: [`-DHP_FIX=${fix}`], marked: fix === 1 ? marked : [] }];
      const image = 'victim.dll';
      const entry = architecture === 'x86' ? 'start@12' : 'start';
      return readSource(buildImage({ architecture, folder, image, sources, entry, imports: [definition] }));
    };
    const [base, fixed] = [build(0), build(1)];
    using lab = await Lab.boot({ architecture, memorySize: 16 << 20, engine });
    const process = lab.createProcess('victim.exe');
    const victim = process.loadImage(base.image, { name: 'victim.dll', symbols: base.symbols });
    const call = (name: string, ...parameters: number[]) =>
      Number(BigInt.asIntN(32, process.call64(victim.symbol(name), parameters)));
    const state = () => [call('f', 0), call('faults'), call('left')];
    expect(state()).toEqual([-1, 1, 1]);
    lab.engine.load(hotPatch({ base, fixed }), { name: 'victim_hp.dll' });
    expect(state()).toEqual([-2, 2, 2]);
  });
});
