import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { Command, Option } from 'commander';
import { hotPatchFileName } from '../image/index.js';
import { WINDOWS_BUILDS, type WindowsBuild } from '../loader/index.js';
import { type CallReport, type CallRequest, callReport } from './call-report.js';
import { RETURN_TYPES, type ReturnType, showResult } from './call-result.js';
import { UsageError } from './errors.js';
import { type IoctlReport, ioctlReport } from './ioctl.js';
import { hotPatchTableSize, numberFrom, wholeNumber, windowsBuild } from './numbers.js';
import { colours, EXIT, note, print, printJson } from './output.js';

interface CallFlags {
  readonly with: string[];
  readonly patch: string[];
  readonly symbols?: string;
  readonly repeat: number;
  readonly unpatch?: boolean;
  readonly pauseAt?: string;
  readonly processors: number;
  readonly seed: number;
  readonly hotPatchTableSize: number;
  readonly windowsBuild?: WindowsBuild;
  readonly ioctl?: number;
  readonly in?: string;
  readonly out: number;
  readonly device?: string;
  readonly returns: ReturnType;
  readonly stub: string[];
  readonly json?: boolean;
}

export function callCommand(): Command {
  const collect = (value: string, list: string[]) => [...list, value];
  return new Command('call')
    .description(
      'Loads an image, applies hotpatches, calls a function on an emulated processor, prints what it returned.',
    )
    .argument('<image>', 'a driver or DLL')
    .argument('[function]', 'export, symbol, module!symbol+0x9, or +0xRVA; none with --ioctl')
    .argument(
      '[args...]',
      `number, '"text"', @FILE (pointer to its bytes), buf:N (pointer to N zero bytes, printed back)`,
    )
    .option('--with <image>', 'an image that it imports from (repeatable, in load order)', collect, [])
    .option(
      '--patch <image>',
      'a hotpatch image to apply (repeatable, in order); auto: NAME_hotpatch.EXT beside the image',
      collect,
      [],
    )
    .option('--symbols <file>', 'PDB or map of the image; default: what lies beside it')
    .addOption(
      new Option(
        '--returns <type>',
        'what the function returns; auto shows 64 bits when there are more than 32',
      )
        .choices(RETURN_TYPES)
        .default('auto'),
    )
    .option(
      '--stub <name=value>',
      'an import that nothing exports returns this (NAME@12=VALUE: and removes 12 bytes of arguments; repeatable)',
      collect,
      [],
    )
    .option('--repeat <n>', 'call it this many times', numberFrom(1, 1_000_000), 1)
    .option('--unpatch', 'roll everything back before the call')
    .option('--pause-at <where>', 'apply the patches when a first call is stopped there')
    .option('--processors <n>', 'number of processors', numberFrom(1, 64), 1)
    .option('--seed <n>', 'decides how processors interleave', wholeNumber, 1)
    .option('--hot-patch-table-size <bytes>', 'HotPatchTableSize of the registry', hotPatchTableSize, 0x1000)
    .option('--windows-build <build>', `behave as one of ${WINDOWS_BUILDS.join(', ')}`, windowsBuild)
    .option('--ioctl <code>', 'send this control code to the device of a driver instead', wholeNumber)
    .option('--in <bytes>', `the request: @FILE or '"text"'`)
    .option('--out <n>', 'room for the answer, in bytes', wholeNumber, 0)
    .option('--device <name>', String.raw`\\.\Name; default: the first link that the driver makes`)
    .option(
      '--isolate',
      'run guest code in a process of its own: when that dies, say what it ran; exit code 1',
    )
    .option('--json', 'one JSON document on stdout')
    .addHelpText(
      'after',
      '\nExample:\n  hotpatch call demo.dll hp_entry 0 3 4 --with hpimport.dll --patch demo_hp.dll --pause-at dispatch+0x9\n  hotpatch call notes.sys --ioctl 0x222000 --in @note.bin --out 64',
    )
    .action(async (image: string, name: string | undefined, args: string[], given: CallFlags) => {
      const flags = { ...given, patch: given.patch.map((patch) => patchFile(patch, image)) };
      if (flags.ioctl !== undefined) {
        if (name !== undefined) throw new UsageError(`--ioctl: '${name}' is one argument too many`);
        const answered = ioctlReport({ ...flags, image, ioctl: flags.ioctl });
        if (flags.json) printJson(answered);
        else printAnswers(answered);
        if (answered.patches.some(isWaiting)) process.exitCode = EXIT.failed;
        return;
      }
      if (name === undefined) throw new UsageError("missing required argument 'function', or --ioctl CODE");
      const returnsText = flags.returns === 'text';
      const request: CallRequest = { ...flags, image, function: name, arguments: args, returnsText };
      const report = callReport(request);
      if (flags.json) printJson(jsonOf(report, flags.returns));
      else printReport(report, flags.returns);
      for (const { importers, module, name: missing, reached } of report.missingImports)
        note(
          `hotpatch: warning: ${importers.join(', ')} imports ${module}!${missing}, which nothing exports here; ${reached ? 'it was called' : 'it was not called'}`,
        );
      if (report.patches.some(isWaiting)) process.exitCode = EXIT.failed;
    });
}

/** `--patch auto`: what Windows would name the hotpatch of this image, beside it. */
function patchFile(patch: string, image: string): string {
  if (patch !== 'auto') return patch;
  const file = hotPatchFileName(image);
  if (existsSync(file)) return file;
  throw new UsageError(`--patch auto: there is no ${basename(file)} beside ${image}`);
}

/** Its base is not there: the call ran without it. */
function isWaiting({ state }: { readonly state: string }): boolean {
  return state === 'deferred' || state === 'noTarget';
}

function jsonOf(report: CallReport, returns: ReturnType): object {
  const { results, paused, fresh, missingImports, ...rest } = report;
  const last = results.at(-1);
  return {
    ...rest,
    ...(missingImports.length === 0 ? {} : { missingImports }),
    result: hexOf(last?.result),
    ...(returns === 'double' && last !== undefined ? { double: last.float } : {}),
    ...(returns === 'text' && last?.text !== undefined ? { text: last.text } : {}),
    instructions: last?.instructions,
    ...(results.length > 1
      ? { results: results.map((call) => ({ result: hexOf(call.result), instructions: call.instructions })) }
      : {}),
    ...(paused === undefined ? {} : { paused: { at: paused.at, result: hexOf(paused.result) } }),
    ...(fresh === undefined ? {} : { fresh: { result: hexOf(fresh.result) } }),
  };
}

function hexOf(value: bigint | undefined): string | undefined {
  return value === undefined ? undefined : `0x${value.toString(16)}`;
}

function printAnswers({ device, ioctl, answers, patches }: IoctlReport): void {
  printPatches(patches);
  for (const { status, information, output } of answers) {
    print(`${device} ${ioctl} = ${colours.bold(status)}   information ${information}`);
    if (output !== '') print(`  ${output}`);
  }
}

function printReport(report: CallReport, returns: ReturnType): void {
  printPatches(report.patches);
  const { paused, fresh } = report;
  if (paused !== undefined) {
    print(`paused at ${paused.at}, patched there; that call returned ${showResult(paused, returns)}`);
    print('the next call, on the state that it left:');
  }
  for (const [index, call] of report.results.entries()) {
    const which = report.results.length > 1 ? `call ${index + 1}: ` : '';
    print(
      `${which}${report.signature} = ${colours.bold(showResult(call, returns))}   ${call.instructions} instructions`,
    );
    for (const buffer of call.buffers) print(`  ${buffer.argument}: ${buffer.hex}`);
  }
  if (fresh !== undefined)
    print(`on a fresh load the patched function returns ${showResult(fresh, returns)}`);
  else if (report.results.length === 1)
    print(colours.dim('state persists between calls of one load: --repeat 2 shows a second one'));
}

function printPatches(patches: CallReport['patches']): void {
  for (const patch of patches) {
    const which = patch.generation === '2003' ? 'generation 2003' : `sequence ${patch.sequenceNumber}`;
    const line = `patch ${patch.image}: ${patch.state}, ${which}, ${patch.functions} function(s), ${patch.status}`;
    print(isWaiting(patch) ? colours.yellow(line) : line);
    if (patch.state === 'noTarget')
      note(
        `hotpatch: ${patch.image} is not applied: ${patch.targetName} is not loaded; nothing was changed (${patch.status})`,
      );
    if (patch.state === 'deferred')
      note(
        `hotpatch: ${patch.image} is not applied: no loaded image has the checksum ${patch.originalCheckSum} and timestamp ${patch.originalTimeDateStamp} that it is for; nothing was changed (STATUS_PATCH_DEFERRED 0x40000037)`,
      );
  }
}
