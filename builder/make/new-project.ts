/** What `newProject` makes: a driver or a DLL. */
export type ProjectKind = 'driver' | 'dll';

const NAME = /^[A-Za-z]\w{0,30}$/;

/** Is it a name for files and C functions? */
export function isProjectName(name: string): boolean {
  return NAME.test(name);
}

/**
 * A small project that builds at once: source, fix as a patch file, scenario, test, and how to use them.
 * @returns contents by path
 */
export function newProject(kind: ProjectKind, name: string): Readonly<Record<string, string>> {
  const source = kind === 'driver' ? driverSource(name) : dllSource(name);
  const flag = `${kind === 'driver' ? ' --driver' : ''} --exports ${name}_average,${name}_calls`;
  return {
    [`${name}.c`]: source,
    'fix.patch': patch(name, source),
    'scenario.ts': scenario(kind, name),
    [`${name}.test.ts`]: `import { runScenario } from 'hotpatch-lab';
import { expect, it } from 'vitest';
import scenario from './scenario.js';

it('is patched while it runs', async () => {
  const { passed } = await runScenario(scenario);
  expect(passed).toBe(true);
});
`,
    'README.md': `# ${name}

A ${kind === 'driver' ? 'driver' : 'DLL'} with a fault (it divides by zero), and its fix as a patch file.

    hotpatch make ${name}.c --patch fix.patch --out out${flag}
    hotpatch run scenario.ts
    npx vitest run
`,
  };
}

const FAULT = '    return sum / count;';
const FIXED = '    return count == 0 ? 0 : sum / count;';

function functionsOf(name: string): string {
  return `static int calls;

/* The mean of some numbers whose sum is given. */
int ${name}_average(int sum, int count)
{
    calls++;
${FAULT}
}

int ${name}_calls(void)
{
    return calls;
}
`;
}

const dllSource = functionsOf;

function driverSource(name: string): string {
  return `typedef long NTSTATUS;

${functionsOf(name)}
/* DRIVER_OBJECT and UNICODE_STRING are not looked into. */
NTSTATUS __stdcall DriverEntry(void *driver, void *registryPath)
{
    (void)driver;
    (void)registryPath;
    return 0;
}
`;
}

function patch(name: string, source: string): string {
  const lines = source.split('\n');
  const at = lines.indexOf(FAULT);
  return `The count may be zero.

--- a/${name}.c
+++ b/${name}.c
@@ -${at},3 +${at},3 @@
 ${lines[at - 1]}
-${FAULT}
+${FIXED}
 ${lines[at + 1]}
`;
}

function scenario(kind: ProjectKind, name: string): string {
  const file = kind === 'driver' ? `${name}.sys` : `${name}.dll`;
  const hotPatch = file.replace('.', '_hp.');
  const load =
    kind === 'driver'
      ? `const image = lab.loadDriver(new URL('${file}', images));
  const call = (symbol: string, ...parameters: number[]) => lab.call(image.symbol(symbol), parameters);`
      : `const process = lab.createProcess('${name}.exe');
  const image = lab.loadDll(process, new URL('${file}', images));
  const call = (symbol: string, ...parameters: number[]) => process.call(image.symbol(symbol), parameters);`;
  return `import { defineScenario, Lab } from 'hotpatch-lab';

// Made by: hotpatch make ${name}.c --patch fix.patch --out out (README.md)
const images = new URL('out/x64/', import.meta.url);

export default defineScenario('${name} is patched while it runs', ({ expect, say }) => {
  const lab = Lab.boot({ architecture: 'x64' });
  ${load}
  expect(call('${name}_average', 6, 3)).toBe(2);
  const before = call('${name}_calls');

  say('The hotpatch: a count of zero is handled, and the counter goes on where it was.');
  const patch = lab.loadHotPatch(new URL('${hotPatch}', images));
  expect(call('${name}_average', 6, 0)).toBe(0);
  expect(call('${name}_calls')).toBe(before + 1);

  say('Taken back, every byte is as it was.');
  lab.unloadHotPatch(patch);
  expect(image.codeBytes()).toEqual(image.codeBytesBeforePatch);
});
`;
}
