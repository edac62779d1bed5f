import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Lab } from 'hotpatch-lab';
import type { ImageArchitecture } from 'hotpatch-lab/image';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeBase, missingForMake } from '../../../builder/index.js';

const SOURCE = fileURLToPath(new URL('static-runtime.c', import.meta.url));
const hasCompiler = spawnSync('cc', ['--version']).status === 0;

/** Systems that run programs of the architecture. */
const SYSTEMS: readonly { readonly architecture: ImageArchitecture; readonly wow64: boolean }[] = [
  { architecture: 'x64', wow64: false },
  { architecture: 'arm64', wow64: false },
  { architecture: 'x86', wow64: true },
];

describe.skipIf(missingForMake().length > 0 || !hasCompiler)('what the static runtime brings', () => {
  let root: string;
  let expected: string[];
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'hotpatch-runtime-'));
    const native = join(root, 'native');
    execFileSync('cc', ['-O0', '-std=gnu11', '-w', SOURCE, '-lm', '-o', native]);
    expected = execFileSync(native, { encoding: 'utf8' }).split('\n');
    expect(expected.length).toBeGreaterThan(40);
  });
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  it.each(SYSTEMS)('on $architecture is what gcc’s build of the same source computes', async (row) => {
    const { architecture, wow64 } = row;
    const [made] = await makeBase({
      source: [SOURCE],
      flags: ['-O0', '-std=gnu11', '-w'],
      architectures: [architecture],
      out: join(root, architecture),
      cache: join(root, 'cache'),
    });
    using lab = await Lab.boot({ architecture: wow64 ? 'x64' : architecture });
    const process = lab.createProcess({ name: 'p.exe', wow64 });
    const image = lab.loadDll(process, made?.base ?? '');
    const buffer = process.domain.allocateMemory('pool', 0x10000);
    const length = process.call(image.symbol('report'), [buffer]);
    const text = Buffer.from(process.domain.addressSpace.read(buffer, length)).toString();
    expect(text.split('\n')).toEqual(expected);
  });

  it('stands back where a program brings a function of its own: the others are there all the same', async () => {
    const source = join(root, 'own.c');
    writeFileSync(
      source,
      `#include <stddef.h>
extern int sprintf(char *to, const char *format, ...);
int vsnprintf(char *to, size_t size, const char *format, __builtin_va_list list) { return 77; }
int snprintf(char *to, size_t size, const char *format, ...) { return 78; }
extern int asprintf(char **to, const char *format, ...);
int own(void) { char text[9]; char *made; return sprintf(text, "%d", 12345) + snprintf(text, 9, "") + vsnprintf(text, 9, "", 0) + asprintf(&made, "abc"); }
`,
    );
    const [made] = await makeBase({
      source: [source],
      flags: ['-w', '-fno-builtin'],
      out: join(root, 'own'),
      cache: join(root, 'cache'),
    });
    using lab = await Lab.boot({ architecture: 'x64' });
    const process = lab.createProcess('p.exe');
    expect(process.call(lab.loadDll(process, made?.base ?? '').symbol('own'), [])).toBe(5 + 78 + 77 + 3);
  });
});
