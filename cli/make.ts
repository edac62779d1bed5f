import { basename, resolve } from 'node:path';
import { Command, Option } from 'commander';
import {
  type BuildHow,
  cacheFolder,
  MAKE_STAGES,
  type MadeHotPatch,
  type MakeInput,
  type MakeStage,
  makeHotPatch,
  readCompileCommands,
} from '../builder/index.js';
import type { ImageArchitecture } from '../image/index.js';
import { allowedRules } from './build.js';
import { printFinding } from './build-text.js';
import { UsageError } from './errors.js';
import { makeOutputFolder, readInput } from './files.js';
import { interruption } from './interruption.js';
import { type MadeCall, madeCalls } from './make-calls.js';
import { numberFrom } from './numbers.js';
import { colours, EXIT, print, printJson } from './output.js';
import { Progress } from './progress.js';

interface MakeFlags {
  readonly source?: string;
  readonly patch: string[];
  readonly arch: ImageArchitecture[];
  readonly out: string;
  readonly compileCommands?: string;
  readonly flag: string[];
  readonly product: string[];
  readonly image?: string;
  readonly driver?: boolean;
  readonly exports?: string[];
  readonly harness: string[];
  readonly functions?: string[];
  readonly allow: string[];
  readonly sequence?: number;
  readonly call: string[];
  readonly sysroot?: string;
  readonly cache?: string;
  readonly from?: MakeStage;
  readonly keep?: boolean;
  readonly showFirstChanged?: boolean;
  readonly jobs?: number;
  readonly json?: boolean;
}

const ARCHITECTURES: readonly ImageArchitecture[] = ['x64', 'arm64', 'x86'];

export function makeCommand(): Command {
  const collect = (value: string, list: string[]) => [...list, value];
  const list = (text: string) => text.split(',').filter((name) => name !== '');
  return new Command('make')
    .description(
      'Builds sources without and with a patch, and makes the hotpatch that leads from one to the other.',
    )
    .argument('[files...]', 'C or C++ files, or the build command behind --')
    .option('--source <folder>', 'the source tree; it is copied, never written to')
    .requiredOption('--patch <file>', 'the fix, a unified diff (repeatable, in order)', collect, [])
    .option('--arch <names>', 'x64, arm64, x86, with commas between', architectures, ['x64'])
    .option('--out <folder>', 'where base, fixed build and hotpatch are put', 'out')
    .option('--compile-commands <file>', 'a compile_commands.json, instead of a build command')
    .option('--flag <flag>', 'a compiler flag for everything: --flag=-DNAME=1 (repeatable)', collect, [])
    .option(
      '--product <name>',
      'which DLL, library or program of several (repeatable: one image of all)',
      collect,
      [],
    )
    .option('--image <name>', 'what the image is called; default: like the product')
    .option('--driver', 'a kernel driver: DriverEntry, imports from ntoskrnl.exe')
    .option('--exports <names>', 'functions to export; default: what the program says, else all', list)
    .option(
      '--harness <file>',
      'a C file of your own, linked into both builds: functions to call (repeatable)',
      collect,
      [],
    )
    .option('--functions <names>', 'functions that were meant to change; checked, not believed', list)
    .option(
      '--allow <rule>',
      'turn a refusal into a warning, where the rule permits it (repeatable)',
      collect,
      [],
    )
    .option('--sequence <n>', 'sequence number', numberFrom(1, 0xffff_ffff))
    .option(
      '--call <call>',
      `run 'FUNCTION ARG…' in base, fixed build and patched base (repeatable)`,
      collect,
      [],
    )
    .option('--sysroot <folder>', 'a Windows SDK; default: the headers of mingw-w64-common')
    .option(
      '--cache <folder>',
      'where bases and objects are kept; default: $HOTPATCH_CACHE or ~/.cache/hotpatch-lab',
    )
    .addOption(
      new Option(
        '--from <stage>',
        'base: build it anew; fixed, marks: start there with what a run with --keep has left',
      ).choices([...MAKE_STAGES]),
    )
    .option('--keep', 'keep objects, logs and link folders in OUT/work')
    .option('--show-first-changed', 'print the first differing instruction of each function, old and new')
    .option('--jobs <n>', 'compilers at a time', numberFrom(1, 256))
    .option('--json', 'one JSON document on stdout')
    .addHelpText(
      'after',
      `
Example:
  hotpatch make demo.c --patch fix.diff --exports hp_entry --call 'hp_entry 3 4'
  hotpatch make --source cjson-1.7.15 --patch fix.patch --arch x64,arm64,x86 --out out -- make CC=hotpatch-cc`,
    )
    .action(async (words: string[], flags: MakeFlags) => {
      const input = inputOf(words, flags);
      makeOutputFolder(flags.out);
      makeOutputFolder(flags.cache ?? cacheFolder());
      using progress = new Progress();
      const result = await makeHotPatch({
        ...input,
        onWritten: (path) => interruption.keep(path),
        onProgress: ({ architecture, stage, text }) => progress.show(`${architecture} ${stage}: ${text}`),
      });
      progress.begin('calling');
      const calls = result.architectures.map((made) => madeCalls(made, flags.call));
      progress[Symbol.dispose]();
      if (flags.json === true)
        printJson({
          patchedFiles: result.patchedFiles,
          architectures: result.architectures.map((made, i) => ({ ...made, calls: calls[i] ?? [] })),
        });
      else for (const [i, made] of result.architectures.entries()) printMade(made, calls[i] ?? [], flags);
      const isDone = result.architectures.every(({ verdict }) => verdict === 'patched');
      const isSame = calls.flat().every(({ isAsFixed }) => isAsFixed);
      if (!isDone || !isSame) process.exitCode = EXIT.failed;
    });
}

function architectures(text: string): ImageArchitecture[] {
  return text.split(',').map((name) => {
    const found = ARCHITECTURES.find((architecture) => architecture === name.trim());
    if (found === undefined) throw new UsageError(`--arch ${name}: write x64, arm64 or x86`);
    return found;
  });
}

function inputOf(words: readonly string[], flags: MakeFlags): MakeInput {
  if (flags.patch.length === 0) throw new UsageError('--patch FILE is missing: the fix as a unified diff');
  const { source, compileCommands } = flags;
  if (source === undefined && words.length === 0)
    throw new UsageError('nothing to build: name C files, or --source FOLDER with a build command behind --');
  if (source !== undefined && compileCommands !== undefined && words.length > 0)
    throw new UsageError('give --compile-commands or a build command, not both');
  // For what they say of a file that is not there, before anything is built.
  for (const path of [compileCommands ?? [], flags.harness].flat()) readInput(path);
  const how: BuildHow | undefined =
    source === undefined
      ? undefined
      : compileCommands !== undefined
        ? { kind: 'steps', steps: readCompileCommands(compileCommands, source) }
        : words.length > 0
          ? { kind: 'command', command: words }
          : undefined;
  return {
    source: source ?? words,
    patches: flags.patch.map((path) => ({
      name: basename(path),
      text: Buffer.from(readInput(path)).toString('latin1'),
    })),
    architectures: flags.arch,
    out: flags.out,
    flags: flags.flag,
    harness: flags.harness.map((path) => resolve(path)),
    allow: allowedRules(flags.allow),
    isDriver: flags.driver === true,
    keepWork: flags.keep === true,
    ...given({
      how,
      products: flags.product.length === 0 ? undefined : flags.product,
      image: flags.image,
      exports: flags.exports,
      functions: flags.functions,
      sequenceNumber: flags.sequence,
      sysroot: flags.sysroot,
      cache: flags.cache,
      from: flags.from,
      jobs: flags.jobs,
    }),
  };
}

function given<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

function printMade(made: MadeHotPatch, calls: readonly MadeCall[], flags: MakeFlags): void {
  const { report } = made;
  const painted = made.verdict === 'patched' ? colours.green('patched') : colours.red('refused');
  print(
    `${colours.bold(made.architecture)}: ${painted}, ${made.changedSources.join(', ')} changed${made.baseWasCached ? '; base from the cache' : ''}`,
  );
  print(`  base      ${made.base}  ${made.sizes.base} bytes`);
  if (made.hotPatch !== undefined) {
    const counts = report.records.map(({ direction, type, records }) => `${records} ${direction} ${type}`);
    print(`  hotpatch  ${made.hotPatch}  ${made.sizes.hotPatch} bytes: ${counts.join(', ')}`);
  }
  for (const { name, file, line, reasons } of report.patched)
    print(
      `  ${name.padEnd(24)} ${file === undefined ? '' : `${file}:${line} `}${colours.dim(reasons.at(-1) ?? '')}`,
    );
  for (const { object, functions } of made.marked) print(`  marked in ${object}: ${functions.join(', ')}`);
  if (made.missingImports.length > 0)
    print(colours.yellow(`  not simulated, an error when called: ${made.missingImports.join(', ')}`));
  for (const { name, object, base, fixed } of flags.showFirstChanged === true ? made.firstChanges : []) {
    print(`  ${name}${object === undefined ? '' : ` (${object})`} begins to differ:`);
    print(`    base   ${base === undefined ? 'ends' : `+0x${base.offset.toString(16)}  ${base.text}`}`);
    print(`    fixed  ${fixed === undefined ? 'ends' : `+0x${fixed.offset.toString(16)}  ${fixed.text}`}`);
  }
  for (const finding of report.findings) printFinding(finding);
  for (const { call, base, fixed, patched, isAsFixed } of calls)
    print(
      `  ${call}: base ${base}, fixed build ${fixed}, patched base ${colours.bold(patched ?? 'not patched')}${isAsFixed ? '' : colours.red(' (not the same)')}`,
    );
  for (const [stage, milliseconds] of Object.entries(made.milliseconds))
    print(colours.dim(`  ${stage}: ${(milliseconds / 1000).toFixed(1)} s`));
}
