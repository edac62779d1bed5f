import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineScenario, Lab, type Scenario } from 'hotpatch-lab';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ARCHITECTURES, hasToolchain } from '../corpus/toolchain.js';
import { transcriptFrom } from './debug.js';
import { type BuiltNip, buildNip, lineOf, SOURCE } from './nip.js';

describe.skipIf(!hasToolchain()).each(ARCHITECTURES)('source lines at the prompt on %s', (architecture) => {
  const folder = mkdtempSync(join(tmpdir(), 'hotpatch-source-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  let built: BuiltNip;
  beforeAll(() => {
    built = buildNip(folder, architecture);
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
  const at = (text: string) => `> nip.c:${lineOf(text)}    ${SOURCE.split('\n')[lineOf(text) - 1]?.trim()}`;
  const linesOf = (shown: readonly string[]) => shown.filter((line) => line.startsWith('>'));

  it('steps by lines over a call, into the next one, out of it, and back', async () => {
    const shown = await stops(
      `bp \`nip.c:${lineOf('int first')}\``,
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
      `bp \`nip.c:${lineOf('int first')}\``,
      ...['g', 'l+t', 'g', 't', 't', 't', 't', 'p-', 'q'],
    );
    const lines = linesOf(shown);
    expect(lines.slice(0, 2)).toEqual([at('int first'), at('int first')]);
    expect(lines).toContain(at('if (length > room)'));
    const patched = shown.findIndex((line) => line.startsWith('nip_hp!receive'));
    expect(patched).toBeGreaterThan(0);
    expect(shown[patched + 1]).toBe(at('int room'));
  });

  it('goes back to the line before in the patch image, over the run that loads it again', async () => {
    const shown = await stops('bp nip_hp!receive', ...['g', 'l+t', 'p', 'p-', 'q']);
    expect(linesOf(shown)).toEqual([at('int room'), at('if (length > room)'), at('int room')]);
  });

  it('names lines in k, ln, lsa and uf /s', async () => {
    const text = await transcriptFrom(
      '> bp ',
      scenario(),
      'bp nip_hp!receive',
      ...['g', 'k', 'lsa', 'ln', 'uf /s nip_hp!receive', 'q'],
    );
    expect(text).toContain(`nip_hp!receive [nip.c @ ${lineOf('int room')}]`);
    expect(text).toMatch(new RegExp(`nip!entry\\+0x\\w+ \\[nip\\.c @ ${lineOf('int first')}\\]`));
    expect(text).toContain(`>${String(lineOf('int room')).padStart(5)}:   int room = lengths[index & 3];`);
    expect(text).toContain(`nip.c:${lineOf('int room')} (`);
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
    expect(() => lab.call(nip.symbol('crash'), [0x10])).toThrow(`(nip.c:${lineOf('return *where')})`);
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
