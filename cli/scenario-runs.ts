import { spawnSync } from 'node:child_process';
import { Console } from 'node:console';
import { basename } from 'node:path';
import {
  ExpectationFailed,
  runScenario,
  type Scenario,
  type ScenarioResult,
  type ScenarioRunOptions,
} from '../lab/index.js';
import { describeReport, type ErrorReport, reportOf } from './errors.js';
import { EXIT, note } from './output.js';
import { loadScenario } from './scenario-file.js';

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

export interface ScenarioFailure extends ErrorReport {
  /** Class of the error. */
  readonly type: string;
  /** An expectation did not hold; otherwise the scenario came to no end, or could not be read. */
  readonly isExpectation: boolean;
  /** Of the scenario file, from 1. */
  readonly line?: number;
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
  /** What a scenario logs must not come into the one JSON document. */
  readonly logToStderr: boolean;
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
  using _ = options.logToStderr ? consoleOnStderr() : undefined;
  for (const file of files) {
    const run = await runFile(file, options, listener);
    runs.push(run);
    listener.done(run);
  }
}

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
    using gone = new Unsettled(timeout);
    return end(
      await Promise.race([
        settled(scenario, {
          ...(seed === undefined ? {} : { seed }),
          onEvent: ({ kind, text }) => {
            transcript.push({ kind, text });
            listener.event({ kind, text });
          },
        }),
        gone.result,
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

/** A scenario that can come to no end by itself: nothing is left that could settle it, or nobody handles its rejection. */
class Unsettled implements Disposable {
  readonly result: Promise<Pick<ScenarioResult, 'expectations' | 'error'>>;
  readonly #listeners: [event: string, listener: (reason?: unknown) => void][] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(timeout: number | undefined) {
    this.result = new Promise((resolve) => {
      const fail = (error: unknown) => resolve({ expectations: 0, error });
      this.#on('beforeExit', () => fail(new NeverSettles('nothing is left that could settle it')));
      this.#on('unhandledRejection', fail);
      this.#on('uncaughtException', fail);
      if (timeout !== undefined)
        this.#timer = setTimeout(
          () => fail(new NeverSettles(`not within ${timeout} seconds`)),
          timeout * 1000,
        );
    });
  }

  #on(event: string, listener: (reason?: unknown) => void): void {
    process.on(event, listener);
    this.#listeners.push([event, listener]);
  }

  [Symbol.dispose](): void {
    for (const [event, listener] of this.#listeners) process.off(event, listener);
    clearTimeout(this.#timer);
  }
}

class NeverSettles extends Error {
  override readonly name = 'NeverSettles';

  constructor(why: string) {
    super(`the scenario never settles: ${why}; await what it begins, and resolve what it awaits`);
  }
}

/** What ended a scenario early, and where in its file. */
export function failureOf(file: string, error: unknown): ScenarioFailure {
  const place = error instanceof Error ? placeInScenario(file, error) : undefined;
  const report = reportOf(error) ?? { exitCode: EXIT.failed, message: String(error) };
  return {
    ...report,
    ...(place === undefined || report.place !== undefined ? {} : { place: `line ${place}` }),
    ...(place === undefined ? {} : { line: Number(place.split(':')[0]) }),
    type: error instanceof Error ? error.name : typeof error,
    isExpectation: error instanceof ExpectationFailed,
  };
}

/** `12:5` of the scenario, where it or what it called threw. */
function placeInScenario(file: string, { stack = '' }: Error): string | undefined {
  const line = stack.split('\n').find((frame) => frame.includes(basename(file)));
  const [, place] = /:(\d+:\d+)\)?$/.exec(line ?? '') ?? [];
  return place;
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
  { seed, timeout }: ScenarioRunsOptions,
  runs: ScenarioRun[],
  listener: RunListener,
): void {
  const file = files[runs.length];
  if (file === undefined) return;
  const error = failureOf(file, new Error(`the scenario has ended the process: process.exit(${code})`));
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
  const flags = [
    ...(seed === undefined ? [] : ['--seed', String(seed)]),
    ...(timeout === undefined ? [] : ['--timeout', String(timeout)]),
  ];
  const { stdout } = spawnSync(
    process.execPath,
    [...process.execArgv, command, 'run', '--json', ...flags, ...rest],
    {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      maxBuffer: 1 << 30,
    },
  );
  for (const run of parseRuns(stdout)) {
    runs.push(run);
    listener.begun(run.title);
    for (const event of run.transcript) listener.event(event);
    listener.done(run);
  }
}

function parseRuns(text: string): ScenarioRun[] {
  try {
    return (JSON.parse(text) as { scenarios: ScenarioRun[] }).scenarios;
  } catch {
    note('hotpatch: the scenarios that were left could not be run');
    return [];
  }
}

function consoleOnStderr(): Disposable {
  const before = globalThis.console;
  globalThis.console = new Console(process.stderr, process.stderr);
  return {
    [Symbol.dispose]() {
      globalThis.console = before;
    },
  };
}
