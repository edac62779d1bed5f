import { spawnSync } from 'node:child_process';
import { runScenario, type Scenario, type ScenarioResult, type ScenarioRunOptions } from '../lab/index.js';
import { describeReport, ProcessDied, ProcessEnded } from './errors.js';
import { inProcess } from './isolate.js';
import { note } from './output.js';
import { failureOf, type ScenarioFailure } from './scenario-errors.js';
import { loadScenario } from './scenario-file.js';
import { Unsettled } from './unsettled.js';

/** What became of one scenario file: there is one for every file, whatever the scenario does. */
export interface ScenarioRun {
  /** As the user named it. */
  readonly file: string;
  readonly title: string;
  readonly held: boolean;
  /** Expectations that held. */
  readonly expectations: number;
  readonly seconds: number;
  readonly transcript: readonly { readonly kind: string; readonly text: string }[];
  readonly error?: ScenarioFailure;
}

export interface RunListener {
  begun(title: string): void;
  event(event: { readonly kind: string; readonly text: string }): void;
  done(run: ScenarioRun): void;
}

export interface ScenarioRunsOptions {
  readonly seed?: number;
  /** Seconds after which a scenario counts as one that never settles. */
  readonly timeout?: number;
}

/**
 * Runs scenario files one after the other. A scenario that never settles, rejects without a handler or cannot be read is
 * a failed one, and the next one runs.
 */
export async function runFiles(
  files: readonly string[],
  options: ScenarioRunsOptions,
  listener: RunListener,
  runs: ScenarioRun[],
): Promise<void> {
  for (const file of files) {
    const run = await runFile(file, options, listener);
    runs.push(run);
    listener.done(run);
  }
}

/** The same, each file in a process of its own: one that dies costs its scenario alone. */
export async function runIsolated(
  files: readonly string[],
  options: ScenarioRunsOptions,
  listener: RunListener,
  runs: ScenarioRun[],
): Promise<void> {
  for (const file of files) {
    const start = performance.now();
    const { stdout, death, code } = await inProcess(['run', '--json', ...flagsOf(options), file], true);
    const [known] = death === undefined ? parseRuns(stdout) : [];
    if (known !== undefined) {
      takeOver(known, runs, listener);
      continue;
    }
    const error = failureOf(file, new ProcessDied(death ?? `the process ended with ${code}`));
    const seconds = (performance.now() - start) / 1000;
    const run = { file, title: file, held: false, expectations: 0, seconds, transcript: [], error };
    runs.push(run);
    listener.done(run);
  }
}

function takeOver(run: ScenarioRun, runs: ScenarioRun[], listener: RunListener): void {
  runs.push(run);
  if (run.title !== run.file) listener.begun(run.title);
  for (const event of run.transcript) listener.event(event);
  listener.done(run);
}

const flagsOf = ({ seed, timeout }: ScenarioRunsOptions): string[] => [
  ...(seed === undefined ? [] : ['--seed', String(seed)]),
  ...(timeout === undefined ? [] : ['--timeout', String(timeout)]),
];

async function runFile(
  file: string,
  { seed, timeout }: ScenarioRunsOptions,
  listener: RunListener,
): Promise<ScenarioRun> {
  const start = performance.now();
  const transcript: { kind: string; text: string }[] = [];
  let title = file;
  const end = (result: Pick<ScenarioResult, 'expectations' | 'error'>): ScenarioRun => {
    const error = 'error' in result ? failureOf(file, result.error) : undefined;
    return {
      file,
      title,
      held: error === undefined,
      expectations: result.expectations,
      seconds: (performance.now() - start) / 1000,
      transcript,
      ...(error === undefined ? {} : { error }),
    };
  };
  try {
    const scenario = await loadScenario(file);
    title = scenario.title;
    listener.begun(title);
    using gone = new Unsettled('the scenario', timeout);
    return end(
      await Promise.race([
        settled(scenario, {
          ...(seed === undefined ? {} : { seed }),
          onEvent: ({ kind, text }) => {
            transcript.push({ kind, text });
            listener.event({ kind, text });
          },
        }),
        gone.error.then((error) => ({ expectations: 0, error })),
      ]),
    );
  } catch (error) {
    return end({ expectations: 0, error });
  }
}

/** Waits for rejections that nobody handles, too: they are told a turn later. */
async function settled(scenario: Scenario, options: ScenarioRunOptions): Promise<ScenarioResult> {
  const result = await runScenario(scenario, options);
  await new Promise((resolve) => setImmediate(resolve));
  return result;
}

/** `scenarios/a.ts: line 12:5: 'It holds': expected 1 to be 2` */
export function describeFailure({ file, title, error }: ScenarioRun): string {
  if (error === undefined) return '';
  const { line: _line, type: _type, isExpectation: _is, ...report } = error;
  const message = title === file ? report.message : `'${title}': ${report.message}`;
  return `${file}: ${describeReport({ ...report, message })}`;
}

/**
 * A scenario has called `process.exit`: it is a failed one. The files behind it are run by another process, whose results
 * are taken over. Called while this process ends, so that nothing here may wait.
 */
export function afterExit(
  files: readonly string[],
  code: number,
  options: ScenarioRunsOptions,
  runs: ScenarioRun[],
  listener: RunListener,
): void {
  const file = files[runs.length];
  if (file === undefined) return;
  const error = failureOf(file, new ProcessEnded(code));
  const gone: ScenarioRun = {
    file,
    title: file,
    held: false,
    expectations: 0,
    seconds: 0,
    transcript: [],
    error,
  };
  runs.push(gone);
  listener.done(gone);
  const rest = files.slice(runs.length);
  const [, command] = process.argv;
  if (rest.length === 0 || command === undefined) return;
  const { stdout } = spawnSync(
    process.execPath,
    [...process.execArgv, command, 'run', '--json', ...flagsOf(options), ...rest],
    {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      maxBuffer: 1 << 30,
    },
  );
  for (const run of parseRuns(stdout)) takeOver(run, runs, listener);
}

function parseRuns(text: string): ScenarioRun[] {
  try {
    return (JSON.parse(text) as { scenarios: ScenarioRun[] }).scenarios;
  } catch {
    note('hotpatch: the scenarios that were left could not be run');
    return [];
  }
}
