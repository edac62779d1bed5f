import { basename } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { runScenario, type ScenarioResult } from '../lab/index.js';
import { describeReport, type ErrorReport, reportOf } from './errors.js';
import { type ScenarioRun, writeJunit } from './junit.js';
import { colours, EXIT, note, print, printJson } from './output.js';
import { loadScenario } from './scenario-file.js';
import { runSchedule } from './schedule.js';

interface RunFlags {
  readonly seed?: number;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly schedule?: string;
  readonly junit?: string;
}

export function runCommand(): Command {
  return new Command('run')
    .description('Runs scenario files and prints what happened, step by step.')
    .argument('<scenario...>', 'TypeScript or JavaScript files whose default export is defineScenario(…)')
    .option('--seed <n>', 'decides how processors interleave', wholeNumber)
    .option('--schedule <file>', 'one interleaving that `hotpatch explore --json` found, step by step')
    .option('--junit <file>', 'also write the results as JUnit XML, for test reports')
    .option('--quiet', 'only the result of each scenario')
    .option('--json', 'one JSON document on stdout')
    .addHelpText('after', '\nExample:\n  hotpatch run scenarios/first-trampoline.ts')
    .action(async (files: string[], flags: RunFlags) => {
      if (flags.schedule !== undefined) {
        for (const file of files) await runSchedule(file, flags.schedule, flags.json === true);
        return;
      }
      const runs: ScenarioRun[] = [];
      for (const file of files) runs.push(await runFile(file, flags));
      if (flags.junit !== undefined) writeJunit(flags.junit, runs);
      if (flags.json) printJson({ scenarios: runs.map(resultJson) });
      process.exitCode = Math.max(...runs.map(({ file, result }) => failureOf(file, result)?.exitCode ?? 0));
    });
}

async function runFile(file: string, flags: RunFlags): Promise<ScenarioRun> {
  const scenario = await loadScenario(file);
  const quiet = flags.json === true || flags.quiet === true;
  if (!quiet) print(colours.bold(`\n${scenario.title}`));
  const start = performance.now();
  const result = await runScenario(scenario, {
    ...(flags.seed === undefined ? {} : { seed: flags.seed }),
    onEvent: (event) => {
      if (!quiet) print(event.kind === 'narration' ? colours.cyan(event.text) : event.text);
    },
  });
  const failure = failureOf(file, result);
  if (failure !== undefined) note(`${file}: ${describeReport(failure)}`);
  else if (flags.json !== true)
    print(
      `${colours.green('held')}  ${result.expectations} expectation(s)${flags.quiet ? `  ${scenario.title}` : ''}`,
    );
  return { file, result, seconds: (performance.now() - start) / 1000 };
}

/** What ended a scenario early. An error that no room of the laboratory has thrown is the scenario's own. */
function failureOf(file: string, { error }: ScenarioResult): ErrorReport | undefined {
  if (error === undefined) return undefined;
  const known = reportOf(error);
  if (known !== undefined) return known;
  const place = error instanceof Error ? placeInScenario(file, error) : undefined;
  return {
    exitCode: EXIT.failed,
    message: String(error),
    ...(place === undefined ? {} : { place }),
  };
}

/** `line 12:5` of the scenario, where it or what it called threw. */
function placeInScenario(file: string, { stack = '' }: Error): string | undefined {
  const line = stack.split('\n').find((frame) => frame.includes(basename(file)));
  const [, place] = /:(\d+:\d+)\)?$/.exec(line ?? '') ?? [];
  return place === undefined ? undefined : `line ${place}`;
}

function resultJson({ file, result }: ScenarioRun): object {
  const failure = failureOf(file, result);
  return {
    title: result.title,
    held: failure === undefined,
    expectations: result.expectations,
    ...(failure === undefined ? {} : { error: failure }),
    transcript: result.transcript.map(({ kind, text }) => ({ kind, text })),
  };
}

/** A parser of options that take a whole number between two others. */
export function numberFrom(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = wholeNumber(text);
    if (value < least || value > most)
      throw new InvalidArgumentError(`it must be from ${least} to ${most}, not ${value}`);
    return value;
  };
}

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0)
    throw new InvalidArgumentError(`'${text}' is not a whole number`);
  return value;
}
