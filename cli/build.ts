import { join, parse, resolve } from 'node:path';
import { Command, Option } from 'commander';
import {
  attemptHotPatch,
  type BuildSource,
  buildRule,
  type HotPatchAttempt,
  isBuildRule,
} from '../builder/index.js';
import { engineBuild } from '../engine/index.js';
import {
  findAllSymbols,
  hotPatchFileName,
  readImage,
  readObject,
  type SymbolsOrigin,
} from '../image/index.js';
import { WINDOWS_BUILDS, type WindowsBuild } from '../loader/index.js';
import { build2003 } from './build-2003.js';
import { printAttempt, printSuggestion } from './build-text.js';
import { UsageError } from './errors.js';
import { assertOutput, noteInput, readInput, writeOutput } from './files.js';
import { hotPatchTableSize, numberFrom, windowsBuild } from './numbers.js';
import { EXIT, note, printJson } from './output.js';
import type { HotPatchGeneration } from './patcher.js';
import { Progress } from './progress.js';

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
  readonly pair: string[];
  readonly suggest?: boolean;
  readonly hotPatchTableSize: number;
  readonly windowsBuild?: WindowsBuild;
  readonly generation: HotPatchGeneration;
  readonly coldpatch?: string;
  readonly json?: boolean;
}

type GivenFlags = Omit<BuildFlags, 'out'> & { readonly out?: string };

export function buildCommand(): Command {
  const collect = (value: string, list: string[]) => [...list, value];
  return new Command('build')
    .description('Makes a hotpatch image from a base and a fixed build: finds what changed, and why.')
    .requiredOption('--base <image>', 'the image that is deployed')
    .requiredOption('--fixed <image>', 'the same program, built with the fix')
    .option('--out <image>', 'the hotpatch image to write; default: NAME_hotpatch.EXT beside the base')
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
    .option(
      '--allow <rule>',
      'turn a refusal into a warning, where the rule permits it (repeatable)',
      collect,
      [],
    )
    .option(
      '--pair <base=fixed>',
      'two names, or places such as +0x3004, that are one variable or function (repeatable)',
      collect,
      [],
    )
    .option('--suggest', 'print the list for -fms-secure-hotpatch-functions-list that the fixed build needs')
    .option(
      '--hot-patch-table-size <bytes>',
      'HotPatchTableSize of the machines it is for',
      hotPatchTableSize,
      0x1000,
    )
    .option(
      '--windows-build <build>',
      `the build of Windows that it is for, one of ${WINDOWS_BUILDS.join(', ')}: decides the version of the table`,
      windowsBuild,
    )
    .addOption(
      new Option('--generation <name>', 'the engine that it is for: a table, or a .hotp1 section')
        .choices(['modern', '2003'])
        .default('modern'),
    )
    .option(
      '--coldpatch <image>',
      'with --generation 2003: writes the old file with the fixed functions appended, for the disk',
    )
    .option('--json', 'one JSON document on stdout')
    .addHelpText(
      'after',
      '\nExample:\n  hotpatch build --base demo.dll --fixed fixed/demo.dll --out demo_hp.dll --functions copy_name,dispatch',
    )
    .action((given: GivenFlags, command: Command) => {
      const flags: BuildFlags = { ...given, out: given.out ?? hotPatchFileName(given.base) };
      if (flags.generation === '2003') refuseModernOptions(command);
      const inputs = [flags.base, flags.fixed, flags.previous, flags.baseSymbols, flags.fixedSymbols];
      assertOutput(flags.out, [...inputs, ...flags.object]);
      if (flags.generation === '2003') {
        const base = readSource(flags.base, flags.baseSymbols);
        const fixed = readSource(flags.fixed, flags.fixedSymbols);
        const allow = allowedRules(flags.allow);
        const { out, coldpatch } = flags;
        if (coldpatch !== undefined) assertOutput(coldpatch, inputs);
        build2003({ base, fixed, out, allow, coldpatch, json: flags.json === true });
        copySymbols(out, fixed.symbolsFile, base.symbolsFile);
        return;
      }
      if (flags.coldpatch !== undefined) throw new UsageError('--coldpatch is for --generation 2003');
      using progress = new Progress();
      progress.begin('reading images and symbols');
      const base = readSource(flags.base, flags.baseSymbols);
      const fixed = readSource(flags.fixed, flags.fixedSymbols);
      const attempt = attemptHotPatch({
        base,
        fixed: { ...fixed, objects: flags.object.map(readObjectFile) },
        allow: allowedRules(flags.allow),
        pairs: flags.pair.map(pairOf),
        hotPatchTableSize: flags.hotPatchTableSize,
        ...(flags.windowsBuild === undefined
          ? {}
          : { tableVersion: engineBuild(flags.windowsBuild).newestTableVersion }),
        onProgress: comparing(progress),
        ...(flags.functions === undefined ? {} : { functions: flags.functions }),
        ...(flags.sequence === undefined ? {} : { sequenceNumber: flags.sequence }),
        ...(flags.previous === undefined ? {} : { previous: readSource(flags.previous) }),
      });
      progress[Symbol.dispose]();
      if (attempt.built !== undefined) {
        writeOutput(flags.out, attempt.built.bytes);
        copySymbols(flags.out, fixed.symbolsFile, base.symbolsFile);
      } else process.exitCode = EXIT.failed;
      if (flags.json) printJson(jsonOf(flags, attempt));
      else if (flags.suggest) printSuggestion(attempt);
      else printAttempt(flags.out, attempt);
    });
}

/** Options that say something about the table, or about the marks in a fixed build, which hotpatches of 2003 do not have. */
const MODERN_OPTIONS = [
  'functions',
  'object',
  'sequence',
  'previous',
  'pair',
  'suggest',
  'hotPatchTableSize',
  'windowsBuild',
];

/** @throws UsageError for the first of them that was given */
function refuseModernOptions(command: Command): void {
  for (const option of command.options)
    if (
      MODERN_OPTIONS.includes(option.attributeName()) &&
      command.getOptionValueSource(option.attributeName()) === 'cli'
    )
      throw new UsageError(`${option.long} is for --generation modern`);
}

const names = (text: string): string[] => text.split(',').filter((name) => name !== '');

/** Says how many functions of two builds have been compared. */
export function comparing(progress: Progress): (compared: number, functions: number) => void {
  return (compared, functions) => progress.show(`${compared} of ${functions} functions compared`);
}

/**
 * Files beside an image that are another's. Not where a PDB of its own was found: a hotpatch image still names the PDB of
 * the fixed build, which lies beside the base under the base's name.
 */
export function notePassedOver({ file, passedOver }: SymbolsOrigin): void {
  if (file !== undefined && /\.pdb$/i.test(file)) return;
  for (const error of passedOver) note(`hotpatch: passed over: ${error.message}`);
}

/** An image and the symbols of `symbolsFile`, or of what lies beside it. */
export function readSource(path: string, symbolsFile?: string): BuildSource {
  const image = readImage(readInput(path), { file: path });
  const found = findAllSymbols({ image, path }, { symbolsFile });
  notePassedOver(found.origin);
  noteInput(found.origin.file);
  return { image, symbols: found.table, pdb: found.pdb, symbolsFile: found.origin.file };
}

/** Puts the fixed build's PDB or map beside the patch under the patch's name, where debuggers and `--previous` look. */
function copySymbols(out: string, symbolsFile: string | undefined, ofBase: string | undefined): void {
  if (symbolsFile === undefined) return;
  const { dir, name } = parse(out);
  const copy = join(dir, `${name}${parse(symbolsFile).ext}`);
  const inputs = [symbolsFile, ofBase].map((file) => file && resolve(file));
  if (!inputs.includes(resolve(copy))) writeOutput(copy, readInput(symbolsFile));
}

function readObjectFile(path: string) {
  return readObject(readInput(path), { file: path });
}

/** @throws UsageError for what is no rule, and for a rule that nothing may override */
export function allowedRules(rules: readonly string[]): readonly string[] {
  for (const rule of rules) {
    if (!isBuildRule(rule)) throw new UsageError(`--allow ${rule}: there is no such rule`);
    const { isOverridable, description } = buildRule(rule);
    if (!isOverridable)
      throw new UsageError(`--allow ${rule}: this rule permits no exception: ${description}`);
  }
  return rules;
}

/** `--pair A=B`: the variable or function A of the base is B of the fixed build. */
function pairOf(text: string): { base: string; fixed: string } {
  const [base, fixed, ...more] = text.split('=');
  if (!base || !fixed || more.length > 0) throw new UsageError(`--pair ${text}: give BASE=FIXED`);
  return { base, fixed };
}

function jsonOf(flags: BuildFlags, { built, report, functions }: HotPatchAttempt): object {
  return {
    ...(built === undefined
      ? {}
      : { out: flags.out, size: built.bytes.length, sequenceNumber: built.sequenceNumber }),
    ...report,
    functions,
  };
}
