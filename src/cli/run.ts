import { Command, InvalidArgumentError } from 'commander';
import { runScenario, type ScenarioResult } from '../scenario.js';
import { describeReport, reportOf } from './errors.js';
import { colours, EXIT, note, print, printJson } from './output.js';
import { loadScenario } from './scenario-file.js';
import { runSchedule } from './schedule.js';

interface RunFlags {
  readonly seed?: number;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly schedule?: string;
}

export function runCommand(): Command {
  return new Command('run')
    .description('Runs scenario files and prints what happened, step by step.')
    .argument('<scenario...>', 'TypeScript or JavaScript files whose default export is defineScenario(…)')
    .option('--seed <n>', 'decides how processors interleave', wholeNumber)
    .option('--schedule <file>', 'one interleaving that `hotpatch explore --json` found, step by step')
    .option('--quiet', 'only the result of each scenario')
    .option('--json', 'one JSON document on stdout')
    .addHelpText('after', '\nExample:\n  hotpatch run scenarios/first-trampoline.ts')
    .action(async (files: string[], flags: RunFlags) => {
      if (flags.schedule !== undefined) {
        for (const file of files) await runSchedule(file, flags.schedule, flags.json === true);
        return;
      }
      const results: ScenarioResult[] = [];
      for (const file of files) results.push(await runFile(file, flags));
      const failed = results.filter((result) => result.error !== undefined);
      if (flags.json) printJson({ scenarios: results.map(resultJson) });
      if (failed.length > 0) process.exitCode = worstExitCode(failed);
    });
}

async function runFile(file: string, flags: RunFlags): Promise<ScenarioResult> {
  const scenario = await loadScenario(file);
  const quiet = flags.json === true || flags.quiet === true;
  if (!quiet) print(colours.bold(`\n${scenario.title}`));
  const result = await runScenario(scenario, {
    ...(flags.seed === undefined ? {} : { seed: flags.seed }),
    onEvent: (event) => {
      if (!quiet) print(event.kind === 'narration' ? colours.cyan(event.text) : event.text);
    },
  });
  if (result.error === undefined) {
    if (flags.json !== true)
      print(
        `${colours.green('held')}  ${result.expectations} expectation(s)${flags.quiet ? `  ${scenario.title}` : ''}`,
      );
  } else {
    const report = reportOf(result.error);
    note(`${file}: ${report === undefined ? String(result.error) : describeReport(report)}`);
    if (report === undefined || report.exitCode === EXIT.unicornMissing) throw result.error;
  }
  return result;
}

function resultJson(result: ScenarioResult): object {
  const report =
    result.error === undefined ? undefined : (reportOf(result.error) ?? { message: String(result.error) });
  return {
    title: result.title,
    held: result.error === undefined,
    expectations: result.expectations,
    ...(report === undefined ? {} : { error: report }),
    transcript: result.transcript.map(({ kind, text }) => ({ kind, text })),
  };
}

function worstExitCode(failed: readonly ScenarioResult[]): number {
  return Math.max(...failed.map((result) => reportOf(result.error)?.exitCode ?? EXIT.failed));
}

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0)
    throw new InvalidArgumentError(`'${text}' is not a whole number`);
  return value;
}
