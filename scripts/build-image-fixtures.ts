/**
 * Builds the images of test/image/fixtures: what the drivers of test/fixtures do not have (delay-loaded imports,
 * thread-local storage, registered exception handlers, unwind version 2, ARM64EC and ARM64X).
 *
 *     npx tsx scripts/build-image-fixtures.ts [FOLDER=test/image/fixtures]
 *
 * Needs clang-22, lld-link-22 and llvm-dlltool-22. The result is the same bytes every time.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const tests = fileURLToPath(new URL('../test/', import.meta.url));
const sources = join(tests, 'image/fixtures/src');
const output = resolve(process.argv[2] ?? join(tests, 'image/fixtures'));
const work = mkdtempSync(join(tmpdir(), 'hotpatch-fixtures-'));

const run = (tool: string, ...options: string[]) => {
  execFileSync(`${tool}-22`, options, { cwd: work, stdio: ['ignore', 'inherit', 'inherit'] });
};
const linkOptions = ['/nologo', '/dll', '/nodefaultlib', '/Brepro'];

const machines = [
  {
    name: 'x64',
    target: 'x86_64',
    dlltool: 'i386:x86-64',
    entry: '_DllMainCRTStartup',
    unwindFlags: ['-fwinx64-eh-unwindv2=best-effort'],
  },
  { name: 'arm64', target: 'aarch64', dlltool: 'arm64', entry: '_DllMainCRTStartup', unwindFlags: [] },
  { name: 'x86', target: 'i686', dlltool: 'i386', entry: '_DllMainCRTStartup@12', unwindFlags: [] },
] as const;

function compile(target: string, source: string, object: string, ...options: string[]): void {
  const reproducible = '-mno-incremental-linker-compatible';
  run('clang', `--target=${target}-pc-windows-msvc`, reproducible, ...options, '-c', source, '-o', object);
}

for (const { name, target, dlltool, entry, unwindFlags } of machines) {
  mkdirSync(join(output, name), { recursive: true });
  const freestanding = [
    '-O2',
    '-ffreestanding',
    '-fno-stack-protector',
    '-fms-extensions',
    '-ffunction-sections',
  ];
  const unwind = ['-fasynchronous-unwind-tables', ...unwindFlags];
  compile(
    target,
    join(sources, 'various.c'),
    'various.obj',
    ...freestanding,
    ...unwind,
    '-Xclang',
    '-cfguard',
  );
  compile(target, join(tests, 'fixtures/src/loadcfg.S'), 'loadcfg.obj');
  run('llvm-dlltool', '-m', dlltool, '-d', join(sources, 'delayed.def'), '-l', 'delayed.lib');
  run(
    'lld-link',
    ...linkOptions,
    ...[`/machine:${name}`, '/guard:cf,longjmp,ehcont', `/entry:${entry}`, '/delayload:delayed.dll'],
    ...['various.obj', 'loadcfg.obj', 'delayed.lib', `/out:${join(output, name, 'various.dll')}`],
  );
}

mkdirSync(join(output, 'hybrid'), { recursive: true });
const objects = { aarch64: [] as string[], arm64ec: [] as string[] };
for (const target of ['aarch64', 'arm64ec'] as const) {
  for (const source of ['hybrid.c', 'hybrid.S']) {
    const object = `${source}.${target}.obj`;
    compile(target, join(sources, source), object, '-O1', '-ffreestanding', '-fasynchronous-unwind-tables');
    objects[target].push(object);
  }
}
const link = (machine: string, ...inputs: string[]) =>
  run(
    'lld-link',
    ...linkOptions,
    '/noentry',
    `/machine:${machine}`,
    `/out:${join(output, 'hybrid', `${machine}.dll`)}`,
    ...inputs,
  );
link('arm64ec', ...objects.arm64ec);
link('arm64x', ...objects.arm64ec, ...objects.aarch64);
rmSync(work, { recursive: true });
