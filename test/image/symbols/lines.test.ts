import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Pdb, readPdb, type SourceFrame } from '../../../image/index.js';
import {
  architectures,
  haveCompiler,
  haveTools,
  nodePty,
  shown,
  targets,
  temporaryFolder,
} from './builds.js';

const SOURCE = `static inline __attribute__((always_inline)) int twice(int a) {
  int b = a + a;
  return b * 3;
}
static inline __attribute__((always_inline)) int deep(int a) {
  int c = twice(a) + 1;
  if (c > 10)
    c -= twice(c);
  return c;
}
int __declspec(dllexport) entry(int a) {
  int sum = 0;
  for (int i = 0; i < a; i++)
    sum += deep(i);
  return sum;
}
int __stdcall _DllMainCRTStartup(void *m, unsigned r, void *p) { return 1; }
`;

/** The same, with code of another file in the middle of a function. llvm-symbolizer 22 takes it for the first file's. */
const TWO_FILES = SOURCE.replace('  return sum;', '#line 300 "other.h"\n  return sum;\n#line 20 "lines.c"');

const base = (name: string) => name.split(/[\\/]/).at(-1) ?? '';
const place = ({ file, line }: SourceFrame) => `${base(file.name)}:${line}`;

const open = (path: string): Pdb => readPdb(readFileSync(path), { file: path });

function linked(architecture: (typeof architectures)[number], optimisation: string, source: string) {
  const folder = temporaryFolder(`lines-${architecture}`);
  const run = (tool: string, ...options: string[]) =>
    execFileSync(tool, options, { cwd: folder, stdio: 'pipe' });
  writeFileSync(join(folder, 'lines.c'), source);
  const target = `--target=${targets[architecture]}`;
  run('clang-22', target, optimisation, '-g', '-gcodeview', '-c', 'lines.c', '-o', 'lines.obj');
  run(
    'lld-link-22',
    ...['/nologo', `/machine:${architecture}`, '/dll', '/nodefaultlib', '/debug', '/out:lines.dll'],
    ...['/pdb:lines.pdb', '/safeseh:no'].slice(0, architecture === 'x86' ? 2 : 1),
    `/entry:_DllMainCRTStartup${architecture === 'x86' ? '@12' : ''}`,
    'lines.obj',
  );
  return { image: join(folder, 'lines.dll'), pdb: join(folder, 'lines.pdb') };
}

interface Symbolized {
  readonly FileName: string;
  readonly Line: number;
}

/** What llvm-symbolizer says of RVAs: the frames of each, innermost first. */
function symbolizer(image: string, rvas: readonly number[], ...options: string[]): string[][] {
  const input = rvas.map((rva) => `0x${rva.toString(16)}`).join('\n');
  const text = execFileSync(
    'llvm-symbolizer-22',
    [`--obj=${image}`, '--output-style=JSON', '--relative-address', ...options],
    { input, maxBuffer: 1 << 28, encoding: 'utf8' },
  );
  return text
    .trim()
    .split('\n')
    .map((line) =>
      ((JSON.parse(line) as { Symbol?: Symbolized[] }).Symbol ?? [])
        .filter(({ Line }) => Line !== 0 && Line < 0xf00f00)
        .map(({ FileName, Line }) => `${base(FileName)}:${Line}`),
    );
}

function codeOf(pdb: Pdb): number[] {
  return pdb.symbols.all.flatMap(({ kind, rva, size }) =>
    kind === 'function' ? Array.from({ length: size ?? 0 }, (_, i) => rva + i) : [],
  );
}

const cells = architectures.flatMap((architecture) =>
  ['-O0', '-O1', '-O2', '-Oz'].map((optimisation) => ({ architecture, optimisation })),
);

describe.skipIf(!haveCompiler || !haveTools('llvm-symbolizer-22'))('source lines of clang’s images', () => {
  it.each(cells)('$architecture $optimisation: every byte of code has llvm-symbolizer’s frames', (cell) => {
    const { image, pdb: path } = linked(cell.architecture, cell.optimisation, SOURCE);
    const pdb = open(path);
    const rvas = codeOf(pdb);
    const theirs = symbolizer(image, rvas);
    expect(rvas.length).toBeGreaterThan(40);
    expect(theirs.flat().length).toBeGreaterThan(40);
    const differing = rvas.filter((rva, i) => {
      const [ours, their] = [pdb.lines.framesAt(rva).map(place).join(), theirs[i]?.join()];
      // Where several lines begin at one address both are right.
      return (
        ours !== their &&
        !pdb.lines
          .inRange(rva, rva + 1)
          .map(place)
          .includes(their ?? '')
      );
    });
    expect(differing.map((rva) => rva.toString(16))).toEqual([]);
  });

  it.each(architectures)(
    '%s: the files with their checksums, the code of a line, inlined copies of it',
    (a) => {
      const pdb = open(linked(a, '-O0', TWO_FILES).pdb);
      expect(pdb.lines.files.map(({ name }) => base(name)).sort()).toEqual(['lines.c', 'other.h']);
      const source = pdb.lines.files.find(({ name }) => base(name) === 'lines.c');
      const md5 = execFileSync('openssl', ['md5', '-r'], { input: TWO_FILES, encoding: 'utf8' }).split(
        ' ',
      )[0];
      expect(source).toMatchObject({ checksumKind: 'MD5', checksum: md5 });

      const twice = pdb.lines.addressesOf('lines.c', 3);
      expect(twice.line).toBe(3);
      expect(twice.rvas.length).toBeGreaterThanOrEqual(1);
      for (const rva of twice.rvas) {
        const [innermost, ...callers] = pdb.lines.framesAt(rva);
        expect(innermost).toMatchObject({ inlinee: 'twice', line: 3 });
        expect(callers.map(({ inlinee }) => inlinee)).toEqual(['deep', undefined]);
      }
      expect(pdb.lines.addressesOf('C:\\elsewhere\\lines.c', 3).rvas).toEqual([]);
      // A line without code: the next one that has some, in that file.
      expect(pdb.lines.addressesOf('OTHER.H', 100).line).toBeGreaterThanOrEqual(300);
      expect(pdb.lines.addressesOf('lines.c', 23).rvas).toEqual([]);
    },
  );
});

describe.skipIf(!haveTools('llvm-symbolizer-22'))('source lines of Microsoft’s linker', () => {
  const pdbs = nodePty(/^(?:pty|conpty_console_list)\.pdb$/);
  it.skipIf(pdbs.length === 0).each(pdbs.map((path) => [shown(path), path]))('%s', (_name, path) => {
    const pdb = open(path);
    const all = codeOf(pdb);
    const rvas = all.filter((_, i) => i % Math.ceil(all.length / 400) === 0);
    const theirs = symbolizer(path.replace('.pdb', '.node'), rvas, '--no-inlines');
    expect(theirs.flat().length).toBeGreaterThan(200);
    const differing = rvas.filter((rva, i) => {
      const their = theirs[i]?.[0];
      return (
        their !== undefined &&
        !pdb.lines
          .inRange(rva, rva + 1)
          .map(place)
          .includes(their)
      );
    });
    expect(differing.map((rva) => rva.toString(16))).toEqual([]);
  });
});
