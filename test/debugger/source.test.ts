import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineScenario, Lab, type Scenario } from 'hotpatch-lab';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildHotPatch } from '../../builder/index.js';
import { findSymbols, readImage } from '../../image/index.js';
import { ARCHITECTURES, type Architecture, buildImage, hasToolchain } from '../corpus/toolchain.js';
import { transcriptFrom } from './debug.js';

const SOURCE = `static volatile int lengths[4] = {4, 8, 15, 16};

__attribute__((noinline)) int receive(int index, int length) {
  int room = lengths[index & 3];
#ifdef FIXED
  if (length > room)
    return -1;
#endif
  lengths[index & 3] = room - length;
  return room - length;
}

__declspec(dllexport) int entry(int index, int length) {
  int first = receive(index, length);
  int second = receive(index, 1);
  return first * 100 + second;
}

__declspec(dllexport) int crash(int *where) {
  return *where;
}

int __stdcall _DllMainCRTStartup(void *m, unsigned r, void *p) { return 1; }
`;

const LINE = (text: string) => SOURCE.split('\n').findIndex((line) => line.includes(text)) + 1;

interface Built {
  readonly base: string;
  readonly patch: string;
}

function build(folder: string, architecture: Architecture): Built {
  const file = join(folder, 'nip.c');
  writeFileSync(file, SOURCE);
  const image = (name: string, ...flags: string[]) =>
    buildImage({
      architecture,
      folder: join(folder, name),
      image: 'nip.dll',
      sources: [{ file, flags, ...(name === 'fixed' ? { marked: ['receive'] } : {}) }],
      linkerFlags: [`/pdbsourcepath:${folder}`],
    });
  const [base, fixed] = [image('base'), image('fixed', '-DFIXED')];
  // Beside the PDB that the fixed image names.
  const patch = join(folder, 'fixed', 'nip_hp.dll');
  writeFileSync(patch, buildHotPatch({ base: sourceOf(base), fixed: sourceOf(fixed) }).bytes);
  return { base, patch };
}

function sourceOf(path: string) {
  const image = readImage(readFileSync(path), { file: path });
  const { table, pdb } = findSymbols({ image, path });
  return { image, symbols: table, ...(pdb === undefined ? {} : { pdb }) };
}

describe.skipIf(!hasToolchain()).each(ARCHITECTURES)('source lines at the prompt on %s', (architecture) => {
  const folder = mkdtempSync(join(tmpdir(), 'hotpatch-source-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  let built: Built;
  beforeAll(() => {
    built = build(folder, architecture);
  });

  const scenario = (): Scenario =>
    defineScenario('nip', async ({ say }) => {
      const lab = await Lab.boot({ architecture });
      const nip = await lab.loadImage(built.base);
      say(`entry returned ${lab.call(nip.symbol('entry'), [1, 3])}`);
      await lab.loadHotPatch(built.patch);
      say(`patched entry returned ${lab.call(nip.symbol('entry'), [0, 30])}`);
    });

  /** The source lines at which a session stops, in order: that of the base and that of the patch image tell themselves apart. */
  const stops = async (...commands: string[]): Promise<string[]> => {
    const text = await transcriptFrom('> bp ', scenario(), ...commands);
    return text.split('\n').filter((line) => line.startsWith('> nip.c:') || /^nip\w*![^:]*:/.test(line));
  };
  const at = (text: string) => `> nip.c:${LINE(text)}    ${SOURCE.split('\n')[LINE(text) - 1]?.trim()}`;
  const linesOf = (shown: readonly string[]) => shown.filter((line) => line.startsWith('>'));

  it('steps by lines over a call, into the next one, out of it, and back', async () => {
    const shown = await stops(
      `bp \`nip.c:${LINE('int first')}\``,
      ...['g', 'l+t', 'p', 't', 'p', 'p-', 'p-', 'q'],
    );
    expect(linesOf(shown)).toEqual([
      at('int first'),
      at('int second'),
      at('int room'),
      at('lengths[index & 3] = room'),
      at('int room'),
      at('int second'),
    ]);
  });

  it('goes by a step into a patched function through its trampoline, into the line that was fixed', async () => {
    const shown = await stops(
      `bp \`nip.c:${LINE('int first')}\``,
      ...['g', 'l+t', 'g', 't', 't', 't', 't', 'p-', 'q'],
    );
    const lines = linesOf(shown);
    expect(lines.slice(0, 2)).toEqual([at('int first'), at('int first')]);
    expect(lines).toContain(at('if (length > room)'));
    const patched = shown.findIndex((line) => line.startsWith('nip_hp!receive'));
    expect(patched).toBeGreaterThan(0);
    expect(shown[patched + 1]).toBe(at('int room'));
  });

  it('names lines in k, ln, lsa and uf /s', async () => {
    const text = await transcriptFrom(
      '> bp ',
      scenario(),
      'bp nip_hp!receive',
      ...['g', 'k', 'lsa', 'ln', 'uf /s nip_hp!receive', 'q'],
    );
    expect(text).toContain(`nip_hp!receive [nip.c @ ${LINE('int room')}]`);
    expect(text).toMatch(new RegExp(`nip!entry\\+0x\\w+ \\[nip\\.c @ ${LINE('int first')}\\]`));
    expect(text).toContain(`>${String(LINE('int room')).padStart(5)}:   int room = lengths[index & 3];`);
    expect(text).toContain(`nip.c:${LINE('int room')} (`);
    const listed = text
      .slice(text.indexOf('> uf /s'))
      .split('\n')
      .filter((line) => line.startsWith('> nip.c:'));
    expect(listed).toContain(at('if (length > room)'));
    expect(listed).toContain(at('lengths[index & 3] = room'));
  });

  it('says the line of a fault', async () => {
    const lab = await Lab.boot({ architecture });
    const nip = await lab.loadImage(built.base);
    expect(() => lab.call(nip.symbol('crash'), [0x10])).toThrow(`(nip.c:${LINE('return *where')})`);
  });

  it('says what it cannot do', async () => {
    const text = await transcriptFrom(
      '> u `',
      scenario(),
      ...['u `nip.c:900`', 'u `other.c:1`', 'bp `later.c:7`', 'bl', 'l+t', 'p', 'q'],
    );
    expect(text).toContain('error: no module has code of nip.c:900');
    expect(text).toContain('error: no module has code of other.c:1');
    expect(text).toMatch(/0 e.*`later\.c:7`/);
  });
});
