import { Command } from 'commander';
import { UsageError } from './errors.js';
import { assertOutput } from './files.js';
import { interruption } from './interruption.js';
import { runsForAnother } from './isolate.js';
import { writeJunit } from './junit.js';
import { numberFrom, wholeNumber } from './numbers.js';
import { colours, note, print, printJson } from './output.js';
import { failureOf } from './scenario-errors.js';
import {
  afterExit,
  describeFailure,
  type RunListener,
  runFiles,
  runIsolated,
  type ScenarioRun,
  type ScenarioRunsOptions,
} from './scenario-runs.js';
import { runSchedule } from './schedule.js';
import { onExit } from './unsettled.js';

interface RunFlags {
  readonly seed?: number;
  readonly json?: boolean;
  readonly isolate?: boolean;
  readonly quiet?: boolean;
  readonly schedule?: string;
  readonly junit?: string;
  readonly timeout?: number;
}

export function runCommand(): Command {
  return new Command('run')
    .description('Runs scenario files and prints what happened, step by step.')
    .argument('<scenario...>', 'TypeScript or JavaScript files whose default export is defineScenario(…)')
    .option('--seed <n>', 'decides how processors interleave', wholeNumber)
    .option(
      '--schedule <file>',
      'what `hotpatch explore --json` has written, or one of its schedules: step by step',
    )
    .option('--junit <file>', 'also write the results as JUnit XML, for test reports')
    .option(
      '--timeout <seconds>',
      'a scenario that takes longer has failed (default: no limit)',
      numberFrom(1, 86_400),
    )
    .option('--quiet', 'only the result of each scenario')
    .option(
      '--isolate',
      'run each scenario in a process of its own: when that dies, the scenario has failed, and the next one runs',
    )
    .option('--json', 'one JSON document on stdout')
    .addHelpText(
      'after',
      '\nExample:\n  hotpatch run scenarios/first-trampoline.ts\n\nThere is a result for every file, also for one that cannot be read, never settles or ends the process.',
    )
    .action(async (files: string[], flags: RunFlags) => {
      if (flags.junit !== undefined) assertOutput(flags.junit, [...files, flags.schedule]);
      if (flags.isolate === true && flags.schedule !== undefined)
        throw new UsageError('--isolate: a schedule is run in this process; leave one of the two out');
      if (flags.schedule === undefined) await runAll(files, flags);
      else await runSchedules(files, flags.schedule, flags);
    });
}

async function runAll(files: readonly string[], flags: RunFlags): Promise<void> {
  const options: ScenarioRunsOptions = {
    ...(flags.seed === undefined ? {} : { seed: flags.seed }),
    ...(flags.timeout === undefined ? {} : { timeout: flags.timeout }),
  };
  const runs: ScenarioRun[] = [];
  const shown = listenerOf(flags);
  const listener: RunListener = {
    ...shown,
    done(run) {
      shown.done(run);
      interruption.doing(`${runs.length} of ${files.length} scenarios have run`);
      // So that those that have run are in it whatever comes.
      if (flags.junit !== undefined && runs.length < files.length) writeJunit(flags.junit, runs);
    },
  };
  const atExit = (code: number) => {
    afterExit(files, code, options, runs, listener);
    report(runs, flags);
  };
  {
    using _ = onExit(atExit);
    if (flags.isolate === true) await runIsolated(files, options, listener, runs);
    else await runFiles(files, options, listener, runs);
  }
  report(runs, flags);
}

/** The schedules of one operation, on each file. */
async function runSchedules(files: readonly string[], schedule: string, flags: RunFlags): Promise<void> {
  const runs: ScenarioRun[] = [];
  const documents: object[] = [];
  for (const file of files) {
    const start = performance.now();
    try {
      const { run, document } = await runSchedule(file, schedule, flags.json === true);
      runs.push(run);
      documents.push(document);
    } catch (error) {
      const seconds = (performance.now() - start) / 1000;
      const failure = failureOf(file, error);
      const run = {
        file,
        title: file,
        held: false,
        expectations: 0,
        seconds,
        transcript: [],
        error: failure,
      };
      runs.push(run);
      note(`hotpatch: ${describeFailure(run)}`);
      documents.push({ scenario: file, error: failure, exitCode: failure.exitCode });
    }
  }
  if (flags.json) printJson(documents.length === 1 ? documents[0] : { scenarios: documents });
  if (flags.junit !== undefined) writeJunit(flags.junit, runs);
  process.exitCode = exitCodeOf(runs);
}

function report(runs: readonly ScenarioRun[], flags: RunFlags): void {
  process.exitCode = exitCodeOf(runs);
  if (flags.json) printJson({ scenarios: runs });
  if (flags.junit !== undefined) writeJunit(flags.junit, runs);
}

const exitCodeOf = (runs: readonly ScenarioRun[]): number =>
  Math.max(0, ...runs.map(({ error }) => error?.exitCode ?? 0));

function listenerOf({ json, quiet }: RunFlags): RunListener {
  const isSilent = json === true || quiet === true;
  return {
    begun(title) {
      if (!isSilent) print(colours.bold(`\n${title}`));
    },
    event({ kind, text }) {
      if (!isSilent) print(kind === 'narration' ? colours.cyan(text) : text);
    },
    done(run) {
      // Who has started this process tells it.
      if (!run.held && !runsForAnother()) note(describeFailure(run));
      else if (run.held && json !== true)
        print(`${colours.green('held')}  ${run.expectations} expectation(s)${quiet ? `  ${run.title}` : ''}`);
    },
  };
}
