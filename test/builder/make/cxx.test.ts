import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Lab } from 'hotpatch-lab';
import type { ImageArchitecture } from 'hotpatch-lab/image';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MakeError, makeBase, missingForMake } from '../../../builder/index.js';
import { findToolchain } from '../../../builder/make/toolchain.js';

const SOURCE = fileURLToPath(new URL('cxx-program.cc', import.meta.url));
const canMake = missingForMake().length === 0;
const hasLibrary = canMake && findToolchain().cxxHeaders !== undefined;
const hasCompiler = spawnSync('c++', ['--version']).status === 0;

const SYSTEMS: readonly { readonly architecture: ImageArchitecture; readonly wow64: boolean }[] = [
  { architecture: 'x64', wow64: false },
  { architecture: 'arm64', wow64: false },
  { architecture: 'x86', wow64: true },
];

describe.skipIf(!canMake)('programs in C++', () => {
  let root: string;
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'hotpatch-cxx-'));
  });
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  const build = async (architecture: ImageArchitecture, source: string) => {
    const [made] = await makeBase({
      source: [source],
      flags: ['-std=c++17', '-w'],
      architectures: [architecture],
      out: join(root, architecture),
      cache: join(root, 'cache'),
    });
    return made?.base ?? '';
  };
  const written = (name: string, text: string): string => {
    const path = join(root, name);
    writeFileSync(path, text);
    return path;
  };

  it.skipIf(!hasLibrary || !hasCompiler).each(SYSTEMS)(
    'with the standard library do on $architecture what the native compiler’s build does',
    async ({ architecture, wow64 }) => {
      const native = join(root, 'native');
      execFileSync('c++', ['-std=c++17', '-w', SOURCE, '-o', native]);
      const expected = execFileSync(native, { encoding: 'utf8' }).trimEnd();
      using lab = await Lab.boot({ architecture: wow64 ? 'x64' : architecture });
      const process = lab.createProcess({ name: 'p.exe', wow64 });
      const image = lab.loadDll(process, await build(architecture, SOURCE));
      const buffer = process.domain.allocateMemory('pool', 0x1000);
      const length = process.call(image.symbol('report'), [buffer]);
      expect(Buffer.from(process.domain.addressSpace.read(buffer, length)).toString()).toBe(expected);
    },
  );

  it.each(SYSTEMS)(
    'have their globals constructed on $architecture, in order',
    async ({ architecture, wow64 }) => {
      const source = written(
        'globals.cc',
        `static int order;
struct One { int at; explicit One(int weight) : at(order = order * 10 + weight) { } };
static One first(1), second(2), third(3);
extern "C" int answer() { return first.at * 10000 + second.at * 1000 + third.at; }
`,
      );
      using lab = await Lab.boot({ architecture: wow64 ? 'x64' : architecture });
      const process = lab.createProcess({ name: 'p.exe', wow64 });
      const image = lab.loadDll(process, await build(architecture, source));
      expect(process.call(image.symbol('answer'), [])).toBe(1 * 10000 + 12 * 1000 + 123);
    },
  );

  it('and in C: a variable that nothing defines is no import, as a function may be', async () => {
    const variable = written(
      'variable.cc',
      'extern "C" { extern int missing; int f() { return missing; } }\n',
    );
    const refusal = await build('x64', variable).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(MakeError);
    expect(String(refusal)).toContain('nothing defines the variables missing');
    const callee = written('callee.cc', 'extern "C" { int missing(); int f() { return missing(); } }\n');
    expect(await build('x64', callee)).toMatch(/callee\.dll$/);
  });
});
