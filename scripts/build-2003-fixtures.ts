/**
 * Builds the test images of the 2003 generation with clang-22 and lld-link-22, for x86 and x64:
 *
 *   2003/<arch>/base/{shell.dll,ntdll.dll,packets.sys}   as they shipped; hotpatchable, 5 (x86) or 6 bytes of padding
 *   2003/<arch>/fixed1/…, fixed2/shell.dll   the hotfixes as plain builds: what coldpatching puts on the disk
 *   2003/<arch>/patch1/…, patch2/shell_hp.dll   the hotpatch images with their .hotp1 section, made by this project
 *
 * Usage: tsx scripts/build-2003-fixtures.ts [OUTPUT_FOLDER]   (default test/fixtures)
 */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildHotPatch2003 } from '../builder/index.js';
import { findSymbols, readImage } from '../image/index.js';

const SOURCES = fileURLToPath(new URL('../test/fixtures/src/', import.meta.url));
const CLANG = process.env.CLANG ?? 'clang-22';
const LLD = process.env.LLD ?? 'lld-link-22';
const DLLTOOL = process.env.DLLTOOL ?? 'llvm-dlltool-22';

const TARGETS = [
  {
    folder: 'x86',
    triple: 'i686-pc-windows-msvc',
    dlltool: ['-m', 'i386', '-k', '-d', 'src/ntoskrnl.x86.def'],
    dllEntry: '_DllMainCRTStartup@12',
    driverEntry: 'DriverEntry@8',
    // With a processor of that time clang fills the entry with mov edi,edi (8B FF), as cl /hotpatch did.
    compiler: ['-march=pentium3'],
    linker: ['/machine:x86', '/functionpadmin:5', '/safeseh:no'],
  },
  {
    folder: 'x64',
    triple: 'x86_64-pc-windows-msvc',
    dlltool: ['-m', 'i386:x86-64', '-d', 'src/ntoskrnl.def'],
    dllEntry: '_DllMainCRTStartup',
    driverEntry: 'DriverEntry',
    compiler: [],
    linker: ['/machine:x64', '/functionpadmin:6'],
  },
] as const;

const MODULES = [
  { file: 'shell.dll', source: '2003/shell.c', fixes: 2 },
  { file: 'ntdll.dll', source: '2003/ntdll.c', fixes: 1 },
  { file: 'packets.sys', source: 'packets.c', fixes: 1 },
] as const;

const COMPILER_FLAGS =
  '-O2 -ffreestanding -fno-stack-protector -fms-extensions -fms-hotpatch -ffunction-sections -fdata-sections -Wall -Wno-four-char-constants -Wno-multichar -g -gcodeview -mno-incremental-linker-compatible -ffile-compilation-dir=. -gno-codeview-command-line'.split(
    ' ',
  );
const LINKER_FLAGS =
  '/nologo /nodefaultlib /dynamicbase /incremental:no /debug /release /Brepro /opt:ref /opt:noicf /pdbsourcepath:/build'.split(
    ' ',
  );

function build(target: (typeof TARGETS)[number], out: string): void {
  const work = mkdtempSync(join(tmpdir(), 'hotpatch-2003-fixtures-'));
  const run = (command: string, args: readonly string[]) =>
    execFileSync(command, args, { cwd: work, stdio: ['ignore', 'inherit', 'inherit'] });
  const compile = (source: string, object: string, fix: number) =>
    run(CLANG, [
      `--target=${target.triple}`,
      ...COMPILER_FLAGS,
      ...target.compiler,
      `-DHP_FIX=${fix}`,
      '-c',
      `src/${source}`,
      '-o',
      object,
    ]);
  try {
    copyTree(SOURCES, join(work, 'src'));
    run(DLLTOOL, [...target.dlltool, '-l', 'ntoskrnl.lib']);
    compile('rt.c', 'rt.obj', 0);
    for (const { file, source, fixes } of MODULES) {
      const stem = file.replace(/\.[a-z]+$/, '');
      const kind =
        file === 'packets.sys'
          ? ['/driver', '/subsystem:native,5.2', `/entry:${target.driverEntry}`, 'ntoskrnl.lib']
          : ['/dll', '/subsystem:windows,5.2', `/entry:${target.dllEntry}`, '/noimplib'];
      for (let fix = 0; fix <= fixes; fix++) {
        const folder = fix === 0 ? 'base' : `fixed${fix}`;
        mkdirSync(join(work, folder), { recursive: true });
        compile(source, `${folder}/${stem}.obj`, fix);
        run(LLD, [
          ...LINKER_FLAGS,
          ...target.linker,
          ...kind,
          `/out:${folder}/${file}`,
          `/pdb:${folder}/${stem}.pdb`,
          `/pdbaltpath:${stem}.pdb`,
          `/map:${folder}/${stem}.map`,
          `${folder}/${stem}.obj`,
          'rt.obj',
        ]);
        mkdirSync(join(out, target.folder, folder), { recursive: true });
        for (const name of [file, `${stem}.map`])
          copyFileSync(join(work, folder, name), join(out, target.folder, folder, name));
        if (fix > 0) writePatch(work, join(out, target.folder), stem, file, fix);
      }
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** The PDBs of both builds tell sizes and types; they are not kept. */
function writePatch(work: string, folder: string, stem: string, file: string, fix: number): void {
  const load = (kind: string) => {
    const path = join(work, kind, file);
    const image = readImage(readFileSync(path), { file });
    const { table: symbols, pdb } = findSymbols({ image, path });
    return { image, symbols, pdb };
  };
  const { bytes, findings } = buildHotPatch2003({ base: load('base'), fixed: load(`fixed${fix}`) });
  for (const { message, rule } of findings) process.stderr.write(`${file}: ${message} (${rule})\n`);
  mkdirSync(join(folder, `patch${fix}`), { recursive: true });
  writeFileSync(join(folder, `patch${fix}`, file.replace('.', '_hp.')), bytes);
  copyFileSync(join(folder, `fixed${fix}`, `${stem}.map`), join(folder, `patch${fix}`, `${stem}_hp.map`));
}

function copyTree(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from))
    if (statSync(join(from, name)).isDirectory()) copyTree(join(from, name), join(to, name));
    else copyFileSync(join(from, name), join(to, name));
}

const out = resolve(process.argv[2] ?? fileURLToPath(new URL('../test/fixtures/', import.meta.url)), '2003');
for (const target of TARGETS) build(target, out);
