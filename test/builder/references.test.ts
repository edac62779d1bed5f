import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readObject } from 'hotpatch-lab/image';
import { afterAll, describe, expect, it } from 'vitest';
import { buildHotPatch, Program } from '../../builder/index.js';
import { ARCHITECTURES, buildImage, hasToolchain } from '../corpus/toolchain.js';
import { readSource } from '../corpus/victim.js';

const source = (name: string) =>
  fileURLToPath(new URL(`../corpus/programs/${name}/${name}.c`, import.meta.url));
const ntoskrnl = (x86: boolean) =>
  fileURLToPath(new URL(`../corpus/programs/ntoskrnl${x86 ? '.x86' : ''}.def`, import.meta.url));
const NAMED = /^(REL32|BRANCH26|PAGEOFFSET_12[AL]|DIR32)$/;

/** Object files say what each instruction refers to: what the decoder finds in the linked image must be the same. */
describe.skipIf(!hasToolchain())('references found in code', () => {
  const work = mkdtempSync(join(tmpdir(), 'hotpatch-references-'));
  afterAll(() => rmSync(work, { recursive: true, force: true }));

  it.each(ARCHITECTURES)('are those of the relocations, %s', (architecture) => {
    let compared = 0;
    for (const name of ['quota', 'sessions', 'frames', 'labels']) {
      const folder = join(work, architecture, name);
      const path = buildImage({
        architecture,
        folder,
        image: `${name}.${name === 'labels' ? 'dll' : 'sys'}`,
        sources: [{ file: source(name), flags: ['-DHP_FIX=1'] }],
        imports: [ntoskrnl(architecture === 'x86')],
      });
      const program = new Program(readSource(path));
      const object = readObject(new Uint8Array(readFileSync(join(folder, `0-${name}.obj`))));
      for (const symbol of object.symbols) {
        const section = object.sections[symbol.sectionNumber - 1];
        const code = program.functions.find(({ symbols }) =>
          symbols.some((s) => (s.rawName ?? s.name) === symbol.name),
        );
        if (section === undefined || code === undefined || symbol.value !== 0) continue;
        const stream = program.stream(code);
        for (const { offset, typeName, symbol: meant } of section.relocations) {
          if (!NAMED.test(typeName) || /^[.$]/.test(meant.name)) continue;
          const at = stream.instructions.find(
            (entry) => offset >= entry.offset && offset < entry.offset + entry.length,
          );
          const found = at?.references.map(({ target }) => program.describe(target)) ?? [];
          const wanted = meant.name.replace(/^(__imp_)?_?/, '').replace(/@\d+$/, '');
          expect(
            found.some((text) =>
              text.replace(/^.*!/, '').replace(/^_+/, '').includes(wanted.replace(/^_+/, '')),
            ),
          ).toBe(true);
          compared++;
        }
      }
    }
    expect(compared).toBeGreaterThan(20);
  });

  it('S_HOTPATCHFUNC records of an object file confirm what changed', () => {
    const image = (fix: number) => {
      const folder = join(work, `marked-${fix}`);
      const path = buildImage({
        architecture: 'x64',
        folder,
        image: 'labels.dll',
        sources: [
          {
            file: source('labels'),
            flags: [`-DHP_FIX=${fix}`],
            marked: fix === 1 ? ['SetLabel', 'Length'] : [],
          },
        ],
      });
      return {
        ...readSource(path),
        objects: [readObject(new Uint8Array(readFileSync(join(folder, '0-labels.obj'))))],
      };
    };
    const { findings, functions } = buildHotPatch({ base: image(0), fixed: image(1) });
    expect(functions.find(({ name }) => name === 'SetLabel')).toMatchObject({
      role: 'patched',
      isMarked: true,
    });
    expect(findings.filter(({ rule }) => rule === 'function.unchanged').map(({ symbol }) => symbol)).toEqual([
      'Length',
    ]);
  });

  it('hosts of inlined copies are in the patch, and the report says whose copies they hold', () => {
    const program = `
      int __stdcall start(void *m, unsigned r, void *p) { (void)m; (void)r; (void)p; return 1; }
      __declspec(dllexport) int f(int a) { return a * 3 + HP_FIX; }
      __declspec(dllexport) int h(int a) { return f(a) ^ 5; }
      __declspec(dllexport) int apart(int a) { return a ^ 5; }`;
    const image = (fix: number) => {
      const folder = join(work, `inlined-${fix}`);
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'inlined.c'), program);
      const sources = [
        { file: 'inlined.c', flags: [`-DHP_FIX=${fix}`], marked: fix === 1 ? ['f', 'h'] : [] },
      ];
      return readSource(
        buildImage({ architecture: 'x64', folder, image: 'inlined.dll', sources, entry: 'start' }),
      );
    };
    const { functions } = buildHotPatch({ base: image(0), fixed: image(1), functions: ['f'] });
    const entry = (name: string) => functions.find((candidate) => candidate.name === name);
    expect(entry('h')).toMatchObject({ role: 'patched', isNamed: false });
    expect(entry('h')?.reasons.join('; ')).toContain('holds an inlined copy of f');
    expect(entry('apart')?.role).toBe('out');
  });
});
