import { Command } from 'commander';
import {
  type Verification,
  type Verification2003,
  verifyHotPatch,
  verifyHotPatch2003,
} from '../builder/index.js';
import { allowedRules, comparing, readSource } from './build.js';
import { printFinding } from './build-text.js';
import { assertNotAnInput } from './files.js';
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
  readonly sarif?: string;
  readonly json?: boolean;
}

export function verifyCommand(): Command {
  const collect = (value: string, list: string[]) => [...list, value];
  return new Command('verify')
    .description('Checks a hotpatch image against its base without running it, whoever built it.')
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
    .option('--sarif <file>', 'also write the findings as SARIF 2.1.0')
    .option('--json', 'one JSON document on stdout')
    .addHelpText('after', '\nExample:\n  hotpatch verify demo_hp.dll --base demo.dll')
    .action((path: string, flags: VerifyFlags) => {
      if (flags.sarif !== undefined)
        assertNotAnInput(
          flags.sarif,
          [path, flags.base, flags.baseSymbols, flags.patchSymbols].filter((file) => file !== undefined),
        );
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
      progress[Symbol.dispose]();
      if (flags.sarif !== undefined)
        writeSarif(
          flags.sarif,
          verifySarif({ ...patch, file: path }, { ...base, file: flags.base }, verification),
        );
      if (flags.json) printJson({ patch: path, base: flags.base, ...verification });
      else printVerification(path, flags.base, verification);
      if (!verification.isValid) process.exitCode = EXIT.failed;
    });
}

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
