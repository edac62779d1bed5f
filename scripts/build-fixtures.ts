/**
 * Builds the test images from test/fixtures/src with clang-22 and lld-link-22, for x64, ARM64 and x86:
 *
 *   <arch>/hpimport.dll            the module that demo.dll imports from
 *   <arch>/manage.dll              calls NtManageHotPatch from user mode
 *   <arch>/base/{demo.dll,packets.sys,callout.sys,notes.sys}   the images as they shipped, with their bugs
 *   <arch>/{client.dll,device.sys}   a program of notes.sys, and a driver with every transfer method
 *   <arch>/fixed/{…}    the same sources with -DHP_FIX=1, marked for secure hotpatching
 *   <arch>/patch/{demo_hp.dll,…}   the fixed build plus the hotpatch table, written by this project
 *   <arch>/{fixed,patch}/phases…dll  a second fix of demo.dll, whose callout fails in a phase that tests choose
 *
 * Usage: npm run fixtures -- [OUTPUT_FOLDER]   (default test/fixtures)
 *
 * Base images come out bit-identical everywhere; secure-hotpatch compiles do not (the order of `__ref_*` loads
 * follows a hash of pointers in clang 22), so the images are checked in and compared by behaviour.
 */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildHotPatch } from '../builder/index.js';
import { readImage, readMapFile } from '../image/index.js';

const SOURCES = fileURLToPath(new URL('../test/fixtures/src/', import.meta.url));
const CLANG = process.env.CLANG ?? 'clang-22';
const LLD = process.env.LLD ?? 'lld-link-22';
const DLLTOOL = process.env.DLLTOOL ?? 'llvm-dlltool-22';

interface Target {
  folder: string;
  triple: string;
  machine: string;
  dlltoolMachine: string;
  /** Has it a `.def` file of its own, whose names say the convention, and has dlltool to take that off (`-k`)? */
  decoratesNames: boolean;
  dllEntry: string;
  driverEntry: string;
  linkerFlags: string[];
}

const TARGETS: Target[] = [
  {
    folder: 'x64',
    triple: 'x86_64-pc-windows-msvc',
    machine: 'x64',
    dlltoolMachine: 'i386:x86-64',
    decoratesNames: false,
    dllEntry: '_DllMainCRTStartup',
    driverEntry: 'DriverEntry',
    linkerFlags: ['/highentropyva'],
  },
  {
    folder: 'arm64',
    triple: 'aarch64-pc-windows-msvc',
    machine: 'arm64',
    dlltoolMachine: 'arm64',
    decoratesNames: false,
    dllEntry: '_DllMainCRTStartup',
    driverEntry: 'DriverEntry',
    linkerFlags: ['/highentropyva'],
  },
  {
    folder: 'x86',
    triple: 'i686-pc-windows-msvc',
    machine: 'x86',
    dlltoolMachine: 'i386',
    decoratesNames: true,
    dllEntry: '_DllMainCRTStartup@12',
    driverEntry: 'DriverEntry@8',
    linkerFlags: ['/safeseh:no'],
  },
];

/** The names on the `-fms-secure-hotpatch-functions-list`: IR names, so no leading underscore on x86. */
const CHANGED = {
  demo: [
    'copy_name',
    'dispatch',
    'call_op',
    'set_hook',
    'leaf_const',
    'leaf_opaque',
    'hp_entry',
    'new_helper',
  ],
  packets: ['ReceivePacket'],
  callout: ['ReceivePacket', '__PatchMainCallout__'],
  notes: ['StoreNote'],
};

/** Flags that make a base image hotpatchable and reproducible; the reason for each is in docs/toolchain.md. */
const COMPILER_FLAGS = [
  '-O2',
  '-ffreestanding',
  '-fno-stack-protector',
  '-fms-extensions',
  '-Wall',
  '-Wno-four-char-constants',
  '-Wno-multichar',
  '-fasynchronous-unwind-tables',
  '-g',
  '-gcodeview',
  '-fms-hotpatch',
  '-ffunction-sections',
  '-fdata-sections',
  '-Xclang',
  '-cfguard',
  '-mno-incremental-linker-compatible',
  '-ffile-compilation-dir=.',
  '-gno-codeview-command-line',
];
/** Libraries that the drivers of src/drivers and their program import from. */
const IMPORTED = ['kernel', 'user'] as const;

const LINKER_FLAGS =
  '/nologo /nodefaultlib /dynamicbase /nxcompat /guard:cf /incremental:no /debug /release /Brepro /opt:ref /opt:noicf /functionpadmin:6 /hotpatchcompatible /pdbsourcepath:/build'.split(
    ' ',
  );

function build(target: Target, out: string): void {
  const work = mkdtempSync(join(tmpdir(), 'hotpatch-fixtures-'));
  const run = (command: string, args: string[]) =>
    execFileSync(command, args, { cwd: work, stdio: ['ignore', 'inherit', 'inherit'] });
  const compile = (source: string, object: string, ...flags: string[]) =>
    run(CLANG, [
      `--target=${target.triple}`,
      ...(source.endsWith('.S') ? ['-mno-incremental-linker-compatible'] : COMPILER_FLAGS),
      ...flags,
      '-c',
      `src/${source}`,
      '-o',
      object,
    ]);
  const link = (folder: string, name: string, ...args: string[]) => {
    mkdirSync(join(work, folder), { recursive: true });
    const stem = name.replace(/\.[a-z]+$/, '');
    run(LLD, [
      ...LINKER_FLAGS,
      `/machine:${target.machine}`,
      ...target.linkerFlags,
      ...args,
      `/out:${folder}/${name}`,
      `/pdb:${folder}/${stem}.pdb`,
      `/pdbaltpath:${stem}.pdb`,
      `/map:${folder}/${stem}.map`,
    ]);
    mkdirSync(join(out, target.folder, folder), { recursive: true });
    for (const file of [name, `${stem}.map`])
      copyFileSync(join(work, folder, file), join(out, target.folder, folder, file));
  };
  /** The names have their x86 decoration, `@name@8` or `name@8`, which the others do not have. */
  const makeImportLibrary = (module: (typeof IMPORTED)[number]) => {
    const file = join(work, `src/drivers/${module}.def`);
    if (!target.decoratesNames)
      writeFileSync(file, readFileSync(file, 'utf8').replace(/^@?(\w+)@\d+$/gm, '$1'));
    const flags = ['-m', target.dlltoolMachine, ...(target.decoratesNames ? ['-k'] : [])];
    run(DLLTOOL, [...flags, '-d', `src/drivers/${module}.def`, '-l', `${module}.lib`]);
  };
  try {
    for (const folder of ['src', 'base', 'fixed', 'base/drivers', 'fixed/drivers'])
      mkdirSync(join(work, folder));
    for (const file of [
      'demo.c',
      'hpimport.c',
      'rt.c',
      'loadcfg.S',
      'packets.c',
      'callout.c',
      'phases.c',
      'packets.h',
      'ntoskrnl.def',
      'ntoskrnl.x86.def',
      'manage.c',
      'ntdll.def',
      'ntdll.x86.def',
    ])
      copyFileSync(join(SOURCES, file), join(work, 'src', file));
    for (const module of ['ntoskrnl', 'ntdll'])
      run(DLLTOOL, [
        '-m',
        target.dlltoolMachine,
        ...(target.decoratesNames ? ['-k'] : []),
        '-d',
        target.decoratesNames ? `src/${module}.x86.def` : `src/${module}.def`,
        '-l',
        `${module}.lib`,
      ]);
    mkdirSync(join(work, 'src/drivers'));
    for (const file of readdirSync(join(SOURCES, 'drivers')))
      copyFileSync(join(SOURCES, 'drivers', file), join(work, 'src/drivers', file));
    for (const module of IMPORTED) makeImportLibrary(module);
    compile('rt.c', 'rt.obj');
    compile('loadcfg.S', 'loadcfg.obj');
    compile('hpimport.c', 'hpimport.obj');
    link(
      '.',
      'hpimport.dll',
      '/dll',
      `/entry:${target.dllEntry}`,
      'hpimport.obj',
      'rt.obj',
      'loadcfg.obj',
      '/implib:hpimport.lib',
    );

    compile('manage.c', 'manage.obj');
    const library = ['/dll', '/noentry', 'rt.obj', 'loadcfg.obj', '/implib:manage.lib'];
    link('.', 'manage.dll', ...library, 'manage.obj', 'ntdll.lib');

    compile('drivers/client.c', 'client.obj');
    link(
      '.',
      'client.dll',
      '/dll',
      '/noentry',
      'client.obj',
      'rt.obj',
      'loadcfg.obj',
      'user.lib',
      '/implib:client.lib',
    );

    const driver = ['/driver', '/subsystem:native,10.0', `/entry:${target.driverEntry}`, 'ntoskrnl.lib'];
    const modules = [
      {
        name: 'demo',
        file: 'demo.dll',
        sources: ['demo'],
        defines: [],
        link: ['/dll', `/entry:${target.dllEntry}`, 'hpimport.lib'],
      },
      { name: 'packets', file: 'packets.sys', sources: ['packets'], defines: [], link: driver },
      {
        name: 'callout',
        file: 'callout.sys',
        sources: ['packets', 'callout'],
        defines: ['-DHP_CALLOUT=1'],
        link: driver,
      },
      {
        name: 'notes',
        file: 'notes.sys',
        sources: ['drivers/notes'],
        defines: [],
        link: [...driver.slice(0, -1), 'kernel.lib'],
      },
    ] as const;
    compile('drivers/device.c', 'device.obj');
    link('.', 'device.sys', ...driver.slice(0, -1), 'kernel.lib', 'device.obj', 'rt.obj', 'loadcfg.obj');
    for (const module of modules) {
      const hot = `-fms-secure-hotpatch-functions-list=${CHANGED[module.name].join(',')}`;
      for (const [kind, ...flags] of [
        ['base', '-DHP_FIX=0'],
        ['fixed', '-DHP_FIX=1', hot],
      ] as const) {
        const objects = module.sources.map((source) => `${kind}/${source}.obj`);
        for (const source of module.sources)
          compile(`${source}.c`, `${kind}/${source}.obj`, ...module.defines, ...flags);
        link(kind, module.file, ...module.link, ...objects, 'rt.obj', 'loadcfg.obj', `/implib:${kind}.lib`);
      }
      writePatch(join(out, target.folder), module.name, module.file);
    }
    compile('phases.c', 'fixed/phases.obj');
    const demo = ['fixed/demo.obj', 'hpimport.lib', 'rt.obj', 'loadcfg.obj', '/implib:phases.lib'];
    // The exports of the base keep their ordinals.
    const exports = ['g_exported,@1,DATA', 'hp_entry,@2', '__PatchMainCallout__,@3'];
    exports.push('FailingPhase,@4,DATA', 'CrashingPhase,@5,DATA');
    const flags = ['/dll', `/entry:${target.dllEntry}`, ...exports.map((name) => `/export:${name}`)];
    link('fixed', 'phases.dll', ...flags, 'fixed/phases.obj', ...demo);
    writePatch(join(out, target.folder), 'demo', 'demo.dll', 'phases.dll');
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function writePatch(folder: string, name: keyof typeof CHANGED, base: string, fixed = base): void {
  const stem = fixed.replace(/\.[a-z]+$/, '');
  const load = (kind: string, file: string) => ({
    image: readImage(readFileSync(join(folder, kind, file)), { file }),
    symbols: readMapFile(readFileSync(join(folder, kind, file.replace(/\.[a-z]+$/, '.map')), 'utf8')).symbols,
  });
  const patch = buildHotPatch({
    base: load('base', base),
    fixed: load('fixed', fixed),
    functions: CHANGED[name],
    sequenceNumber: 1,
    // On x86 clang leaves out the argument that the faulty ReceivePacket ignores; no test patches inside HandleRequest.
    allow: name !== 'demo' && folder.endsWith('x86') ? ['function.convention'] : [],
  });
  mkdirSync(join(folder, 'patch'), { recursive: true });
  writeFileSync(join(folder, 'patch', fixed.replace('.', '_hp.')), patch.bytes);
  copyFileSync(join(folder, 'fixed', `${stem}.map`), join(folder, 'patch', `${stem}_hp.map`));
}

const out = resolve(process.argv[2] ?? fileURLToPath(new URL('../test/fixtures/', import.meta.url)));
for (const target of TARGETS) build(target, out);
