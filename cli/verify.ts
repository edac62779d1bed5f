import { Command } from 'commander';
import {
  type BuildSource,
  type Verification,
  type Verification2003,
  verifyHotPatch,
  verifyHotPatch2003,
} from '../builder/index.js';
import {
  compareBehaviour,
  type DifferentialArgument,
  type DifferentialCall,
  type DifferentialReport,
  type Disagreement,
} from '../proof/index.js';
import { callWords, parseArgument } from './arguments.js';
import { allowedRules, comparing, readSource } from './build.js';
import { printFinding } from './build-text.js';
import { UsageError } from './errors.js';
import { assertOutput, readInput } from './files.js';
import { hotPatchTableSize } from './numbers.js';
import { colours, EXIT, note, noteColours, print, printJson } from './output.js';
import { generationOf } from './patcher.js';
import { Progress } from './progress.js';
import { writeSarif } from './sarif.js';
import { verifySarif } from './sarif-findings.js';

interface VerifyFlags {
  readonly base: string;
  readonly baseSymbols?: string;
  readonly patchSymbols?: string;
  readonly allow: string[];
  readonly hotPatchTableSize: number;
  readonly fixed?: string;
  readonly call: string[];
  readonly calls?: string;
  readonly with: string[];
  readonly sarif?: string;
  readonly json?: boolean;
}

export function verifyCommand(): Command {
  const collect = (value: string, list: string[]) => [...list, value];
  return new Command('verify')
    .description(
      'Checks a hotpatch image against its base, whoever built it: its rules, and with --call what it does.',
    )
    .argument('<patch>', 'a hotpatch image')
    .requiredOption('--base <image>', 'the image that it is for')
    .option('--base-symbols <file>', 'PDB or map of the base; default: what lies beside it')
    .option('--patch-symbols <file>', 'PDB or map of the build that the patch was made from')
    .option('--allow <rule>', 'turn a refusal into a warning (repeatable)', collect, [])
    .option(
      '--hot-patch-table-size <bytes>',
      'HotPatchTableSize of the machines it is for',
      hotPatchTableSize,
      0x1000,
    )
    .option(
      '--fixed <image>',
      'the fixed build alone: with --call, what it returns is what the patched base must return',
    )
    .option('--call <call>', "a call to make, such as 'F 1 2' (repeatable)", collect, [])
    .option('--calls <file>', 'a file with one call a line; # begins a comment')
    .option('--with <image>', 'an image that the others import from (repeatable)', collect, [])
    .option('--sarif <file>', 'also write the findings as SARIF 2.1.0')
    .option('--json', 'one JSON document on stdout')
    .addHelpText(
      'after',
      '\nExample:\n  hotpatch verify demo_hp.dll --base demo.dll\n  hotpatch verify demo_hp.dll --base demo.dll --fixed fixed/demo.dll --call "dispatch 1 2"',
    )
    .action(async (path: string, flags: VerifyFlags) => {
      if (flags.sarif !== undefined)
        assertOutput(flags.sarif, [
          ...[path, flags.base, flags.baseSymbols, flags.patchSymbols, flags.fixed, flags.calls],
          ...flags.with,
        ]);
      using progress = new Progress();
      progress.begin('reading images and symbols');
      const base = readSource(flags.base, flags.baseSymbols);
      const patch = readSource(path, flags.patchSymbols);
      const allow = allowedRules(flags.allow);
      const verification =
        generationOf(patch.image) === '2003'
          ? verifyHotPatch2003({ base, patch, allow })
          : verifyHotPatch({
              base,
              patch,
              allow,
              hotPatchTableSize: flags.hotPatchTableSize,
              onProgress: comparing(progress),
            });
      const calls = callsOf(flags);
      const behaviour =
        calls.length > 0 && verification.isValid
          ? await compareCalls(flags, {
              base,
              patch,
              patched: entriesOf(patch, verification),
              calls,
              progress,
            })
          : undefined;
      progress[Symbol.dispose]();
      if (flags.sarif !== undefined)
        writeSarif(
          flags.sarif,
          verifySarif({ ...patch, file: path }, { ...base, file: flags.base }, verification),
        );
      if (flags.json)
        printJson({
          patch: path,
          base: flags.base,
          ...verification,
          ...(behaviour === undefined ? {} : { behaviour }),
        });
      else printVerification(path, flags.base, verification);
      if (behaviour !== undefined && !flags.json) printBehaviour(behaviour);
      if (!verification.isValid || (behaviour?.disagreements.length ?? 0) > 0) process.exitCode = EXIT.failed;
    });
}

/** `F 1 "text" buf:16`, one from each --call and each line of --calls. */
function callsOf({ call, calls, fixed }: VerifyFlags): DifferentialCall[] {
  const lines = calls === undefined ? [] : new TextDecoder().decode(readInput(calls)).split(/\r?\n/);
  const texts = [...call, ...lines.map((line) => line.replace(/#.*/, ''))]
    .map((text) => text.trim())
    .filter((text) => text !== '');
  if (texts.length > 0 && fixed === undefined)
    throw new UsageError('--call needs --fixed IMAGE to compare with');
  return texts.map((text) => {
    const [name = '', ...parameters] = callWords(text);
    const values = parameters.map(argumentOf);
    const words = values.map((value, index) => (typeof value === 'bigint' ? value : parameters[index]));
    return { text: [name, ...words].join(' '), function: name, arguments: values };
  });
}

function argumentOf(word: string): DifferentialArgument {
  const argument = parseArgument(word);
  if (typeof argument === 'bigint') return argument;
  return { bytes: argument.bytes, isCompared: argument.printBack };
}

/** RVAs of the functions of the base that the hotpatch redirects. */
function entriesOf(
  { image: { hotPatch } }: BuildSource,
  verification: Verification | Verification2003,
): number[] {
  if ('generation' in verification) return verification.functions.map(({ baseRva }) => baseRva);
  const records = hotPatch?.bases[0]?.chunks ?? [];
  return records
    .filter(({ direction, type }) => direction === 'forward' && type === 'FUNCTION')
    .flatMap((chunk) => chunk.records.map(({ rva }) => rva));
}

async function compareCalls(
  flags: VerifyFlags,
  of: {
    readonly base: BuildSource;
    readonly patch: BuildSource;
    readonly patched: readonly number[];
    readonly calls: readonly DifferentialCall[];
    readonly progress: Progress;
  },
): Promise<DifferentialReport> {
  const { base, patch, patched, calls, progress } = of;
  progress.begin('making the calls on base, fixed build and patched base');
  return compareBehaviour({
    base,
    fixed: readSource(flags.fixed ?? ''),
    patch: patch.image,
    patched,
    calls,
    with: flags.with.map((file) => readSource(file)),
  });
}

function printBehaviour({ calls, places, disagreements, mixtures }: DifferentialReport): void {
  const line = ({ kind, call, at, observed, right }: Disagreement) =>
    `${call}: ${observed} instead of ${right} (${KINDS[kind]}${at === undefined ? '' : ` at ${at}`})`;
  for (const found of disagreements) note(`${noteColours.red('disagreement')}: ${line(found)}`);
  for (const found of mixtures) note(`${noteColours.yellow('mixture')}: ${line(found)}`);
  print(
    `${calls} call(s) on base, fixed build and patched base, the patch landing at ${places} places: ${disagreements.length === 0 ? colours.green('no disagreement') : colours.red(`${disagreements.length} disagreement(s)`)}`,
  );
}

const KINDS = {
  fresh: 'the patch was there before',
  inFlight: 'the patch landed',
  later: 'the call after one that the patch met',
  rolledBack: 'after the rollback',
} as const;

function printVerification(patch: string, base: string, verification: Verification | Verification2003) {
  const { isValid, formatFindings, findings } = verification;
  if ('generation' in verification) print('a hotpatch of the 2003 generation (.hotp1)');
  for (const { severity, place, message, rule, status } of formatFindings) {
    const paint = severity === 'error' ? noteColours.red : noteColours.yellow;
    note(`${paint(severity)}: ${place}: ${message} (${rule}, ${status.name})`);
  }
  for (const finding of findings) printFinding(finding);
  const patched =
    'generation' in verification
      ? verification.functions.map(({ name }) => name)
      : verification.functions.filter(({ role }) => role === 'patched').map(({ name }) => name);
  if (patched.length > 0) print(`patches ${patched.join(', ')}`);
  const errors = formatFindings.filter(({ severity }) => severity === 'error').length;
  const refusals = findings.filter(({ severity }) => severity === 'refusal').length;
  print(
    isValid
      ? `${patch} ${colours.green('can be applied')} to ${base}`
      : `${patch} ${colours.red('must not be applied')} to ${base}: ${errors + refusals} rule(s) broken`,
  );
}
