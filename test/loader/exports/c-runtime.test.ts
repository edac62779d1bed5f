import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Lab, readImage } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';
import { ARCHITECTURES } from '../support.js';

/** A C program that uses the runtime through the headers of MinGW, compiled here: its results are those of any C. */
const HEADERS = '/usr/share/mingw-w64/include';
const TARGETS = {
  x64: { triple: 'x86_64-w64-windows-gnu', machine: 'i386:x86-64' },
  arm64: { triple: 'aarch64-w64-windows-gnu', machine: 'arm64' },
  x86: { triple: 'i686-w64-windows-gnu', machine: 'i386' },
} as const;
const [CLANG, LLD, DLLTOOL] = ['clang-22', 'lld-link-22', 'llvm-dlltool-22'] as const;
const hasTools =
  [CLANG, LLD, DLLTOOL].every((tool) => spawnSync(tool, ['--version']).error === undefined) &&
  spawnSync('test', ['-f', `${HEADERS}/stdio.h`]).status === 0;

function compile(architecture: keyof typeof TARGETS): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), 'c-runtime-'));
  try {
    const at = (name: string) => join(folder, name);
    const source = (name: string) => fileURLToPath(new URL(name, import.meta.url));
    const { triple, machine } = TARGETS[architecture];
    const builtin = execFileSync(CLANG, ['-print-resource-dir'], { encoding: 'utf8' }).trim();
    const run = (tool: string, args: readonly string[]) => execFileSync(tool, args, { stdio: 'pipe' });
    run(DLLTOOL, ['-m', machine, '-d', source('c-runtime.def'), '-l', at('ucrt.lib')]);
    run(CLANG, [
      ...[`--target=${triple}`, '-O1', '-nostdinc', '-isystem', `${builtin}/include`, '-isystem', HEADERS],
      ...[
        '-D_UCRT',
        '-w',
        '-fno-stack-protector',
        '-fno-builtin',
        '-c',
        source('c-runtime.c'),
        '-o',
        at('t.obj'),
      ],
    ]);
    run(LLD, [
      ...[
        '/nologo',
        `/machine:${architecture}`,
        '/nodefaultlib',
        '/dll',
        '/noentry',
        '/dynamicbase',
        '/nxcompat',
      ],
      ...['/lldmingw', '/safeseh:no', at('t.obj'), at('ucrt.lib'), `/out:${at('t.dll')}`],
    ]);
    return new Uint8Array(readFileSync(at('t.dll')));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe.skipIf(!hasTools).each(ARCHITECTURES)('a C program on %s', (architecture) => {
  it('gets from the runtime what it would from any', async () => {
    using lab = await Lab.boot({ architecture });
    const process = lab.createProcess('t.exe');
    const image = readImage(compile(architecture), { file: 't.dll' });
    const dll = process.loadImage(image, { name: 't.dll' });
    const address = (name: string) => {
      const found = image.exports?.functions.find((entry) => entry.name === name);
      return dll.address(found?.rva ?? 0);
    };
    const buffer = process.domain.allocateMemory('pool', 512);
    const call = (name: string, args: readonly (bigint | number)[] = []) => process.call(address(name), args);
    const text = () => process.addressSpace.readCString(buffer);

    expect(call('t_printf', [buffer, 500n])).toBe(116);
    expect(text()).toBe(
      '-42|   ab|cd   |00007|ff|FF|0xff|-1234567890123|0.1|1.234568e+04|2.500|z|%|    3.1416|end|4000000000|-3|deadbeefcafe',
    );
    expect(call('t_qsort')).toBe(1235789);
    expect(call('t_scan')).toBe(441805);
    expect(call('t_malloc')).toBe(0);
    expect(call('t_div', [17, 5])).toBe(3002);
    expect(call('t_lldiv', architecture === 'x86' ? [17, 0, 5, 0] : [17, 5])).toBe(3002);
    // Sixteen bytes in the file: line ends are CR LF there, and LF when they are read as text.
    expect(call('t_file')).toBe(1614);
    expect(Buffer.from(lab.kernel.volume.read('C:\\Temp\\a.txt') ?? []).toString()).toBe(
      'line 1\r\nline 2\r\n',
    );
    // Lab time: machines boot at the beginning of 2024.
    expect(call('t_time', [buffer])).toBe(1_704_067_200);
    expect(text()).toBe('2024-01-01 00:00:00 Mon 001');
    call('t_puts');
    expect(lab.events.filter(({ kind }) => kind === 'consoleOutput').map((event) => event.text)).toEqual([
      't.exe stdout: hello',
      't.exe stdout: x=5',
    ]);
  });

  it('goes on twice from a snapshot that was taken with a file open', async () => {
    using lab = await Lab.boot({ architecture });
    const process = lab.createProcess('t.exe');
    const image = readImage(compile(architecture), { file: 't.dll' });
    const dll = process.loadImage(image, { name: 't.dll' });
    const address = (name: string) =>
      dll.address(image.exports?.functions.find((entry) => entry.name === name)?.rva ?? 0);
    process.call(address('t_open'));
    process.call(address('t_write'), [1]);
    const { machine, volume } = lab.kernel;
    const runtimeData = process.environment?.runtimeData ?? 0n;
    const snapshot = machine.snapshot();
    const runs = [1, 2].map(() => {
      machine.restore(snapshot);
      process.call(address('t_write'), [2]);
      // Each call has a thread of its own at other addresses: what the runtime and the disk keep is compared.
      return {
        file: Buffer.from(volume.read('C:\\Temp\\b.txt') ?? []).toString(),
        runtime: Buffer.from(process.addressSpace.read(runtimeData, 0x3000)).toString('hex'),
        handles: process.handles.save().next,
      };
    });
    expect(runs[0]?.file).toBe('<1><2>');
    expect(runs[1]).toEqual(runs[0]);
    machine.restore(snapshot);
    expect(Buffer.from(volume.read('C:\\Temp\\b.txt') ?? []).toString()).toBe('<1>');
    expect(process.call(address('t_close'))).toBe(0);
  });
});
