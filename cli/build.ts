import { Command, Option } from 'commander';
import {
  type BuildFinding,
  type BuildSource,
  type BuiltHotPatch,
  buildHotPatch,
  type FunctionReport,
  isBuildRule,
} from '../builder/index.js';
import { findSymbols, readImage, readObject } from '../image/index.js';
import { build2003 } from './build-2003.js';
import { UsageError } from './errors.js';
import { assertNotAnInput, readInput, writeOutput } from './files.js';
import { colours, note, noteColours, print, printJson } from './output.js';
import type { HotPatchGeneration } from './patcher.js';
import { Progress } from './progress.js';
import { numberFrom, wholeNumber } from './run.js';

interface BuildFlags {
  readonly base: string;
  readonly fixed: string;
  readonly out: string;
  readonly functions?: string[];
  readonly baseSymbols?: string;
  readonly fixedSymbols?: string;
  readonly object: string[];
  readonly sequence?: number;
  readonly previous?: string;
  readonly allow: string[];
  readonly hotPatchTableSize: number;
  readonly generation: HotPatchGeneration;
  readonly json?: boolean;
}

export function buildCommand(): Command {
  const collect = (value: string, list: string[]) => [...list, value];
  return new Command('build')
    .description('Makes a hotpatch image from a base and a fixed build: finds what changed, and why.')
    .requiredOption('--base <image>', 'the image that is deployed')
    .requiredOption('--fixed <image>', 'the same program, built with the fix')
    .requiredOption('--out <image>', 'the hotpatch image to write')
    .option(
      '--functions <names>',
      'functions that were meant to change, with commas between; checked, not believed',
      names,
    )
    .option('--base-symbols <file>', 'PDB or map of the base; default: what lies beside it')
    .option('--fixed-symbols <file>', 'PDB or map of the fixed build')
    .option(
      '--object <file>',
      'an object file of the fixed build, for its S_HOTPATCHFUNC records (repeatable)',
      collect,
      [],
    )
    .option(
      '--sequence <n>',
      'sequence number; default: 1, or one above the previous',
      numberFrom(1, 0xffff_ffff),
    )
    .option('--previous <image>', 'the hotpatch in use: says what the new one drops')
    .option('--allow <rule>', 'turn a refusal into a warning (repeatable)', collect, [])
    .option(
      '--hot-patch-table-size <bytes>',
      'HotPatchTableSize of the machines it is for',
      wholeNumber,
      0x1000,
    )
    .addOption(
      new Option('--generation <name>', 'the engine that it is for: a table, or a .hotp1 section')
        .choices(['modern', '2003'])
        .default('modern'),
    )
    .option('--json', 'one JSON document on stdout')
    .addHelpText(
      'after',
      '\nExample:\n  hotpatch build --base demo.dll --fixed fixed/demo.dll --out demo_hp.dll --functions copy_name,dispatch',
    )
    .action((flags: BuildFlags) => {
      assertNotAnInput(flags.out, [
        flags.base,
        flags.fixed,
        ...(flags.previous === undefined ? [] : [flags.previous]),
      ]);
      if (flags.generation === '2003') {
        const base = readSource(flags.base, flags.baseSymbols);
        const fixed = readSource(flags.fixed, flags.fixedSymbols);
        const allow = allowedRules(flags.allow);
        build2003({ base, fixed, out: flags.out, allow, json: flags.json === true });
        return;
      }
      using progress = new Progress();
      progress.begin('reading images and symbols');
      const built = buildHotPatch({
        base: readSource(flags.base, flags.baseSymbols),
        fixed: { ...readSource(flags.fixed, flags.fixedSymbols), objects: flags.object.map(readObjectFile) },
        allow: allowedRules(flags.allow),
        hotPatchTableSize: flags.hotPatchTableSize,
        onProgress: comparing(progress),
        ...(flags.functions === undefined ? {} : { functions: flags.functions }),
        ...(flags.sequence === undefined ? {} : { sequenceNumber: flags.sequence }),
        ...(flags.previous === undefined ? {} : { previous: readSource(flags.previous) }),
      });
      progress[Symbol.dispose]();
      writeOutput(flags.out, built.bytes);
      if (flags.json) printJson(jsonOf(flags, built));
      else printBuilt(flags, built);
    });
}

const names = (text: string): string[] => text.split(',').filter((name) => name !== '');

/** Says how many functions of two builds have been compared. */
export function comparing(progress: Progress): (compared: number, functions: number) => void {
  return (compared, functions) => progress.show(`${compared} of ${functions} functions compared`);
}

/** An image and the symbols of `symbolsFile`, or of what lies beside it. */
export function readSource(path: string, symbolsFile?: string): BuildSource {
  const image = readImage(readInput(path), { file: path });
  const found = findSymbols({ image, path }, { symbolsFile });
  return { image, symbols: found.table, pdb: found.pdb };
}

function readObjectFile(path: string) {
  return readObject(readInput(path), { file: path });
}

export function allowedRules(rules: readonly string[]): readonly string[] {
  const unknown = rules.find((rule) => !isBuildRule(rule));
  if (unknown !== undefined) throw new UsageError(`--allow ${unknown}: there is no such rule`);
  return rules;
}

function jsonOf(flags: BuildFlags, built: BuiltHotPatch): object {
  const { chunks, bytes, ...rest } = built;
  return {
    out: flags.out,
    size: bytes.length,
    ...rest,
    records: chunks.map(({ direction, type, records }) => ({ direction, type, records: records.length })),
  };
}

function printBuilt(
  flags: BuildFlags,
  { bytes, sequenceNumber, functions, chunks, findings }: BuiltHotPatch,
): void {
  const role = (wanted: FunctionReport['role']) => functions.filter((entry) => entry.role === wanted);
  printFunctions('patched: the base leads to the new one', role('patched'));
  printFunctions('in the patch image, reached from patched code', role('inside'));
  printFunctions('unchanged, lead back to the base', role('redirected'));
  const out = role('out');
  const removed = out.filter(({ verdict }) => verdict === 'removed');
  print(
    `${colours.bold('left out')}: ${out.length} functions${removed.length === 0 ? '' : `, of which the fix removes ${removed.map(({ name }) => name).join(', ')}`}`,
  );
  const counts = chunks.map(({ direction, type, records }) => `${records.length} ${direction} ${type}`);
  print(
    `${colours.bold(flags.out)}: ${bytes.length} bytes, sequence ${sequenceNumber}; ${counts.join(', ')}`,
  );
  for (const finding of findings) printFinding(finding);
}

function printFunctions(title: string, functions: readonly FunctionReport[]): void {
  if (functions.length === 0) return;
  print(colours.bold(title));
  for (const { name, reasons } of functions) print(`  ${name.padEnd(24)} ${colours.dim(reasons.join('; '))}`);
}

/** One line on stderr, and what to do about it. */
export function printFinding({ severity, symbol, message, rule, hint }: BuildFinding): void {
  const paint = severity === 'refusal' ? noteColours.red : noteColours.yellow;
  note(`${paint(severity)}: ${symbol === undefined ? '' : `${symbol}: `}${message} (${rule})`);
  note(`  hint: ${hint}`);
}
