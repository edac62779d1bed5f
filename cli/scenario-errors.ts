import { basename } from 'node:path';
import { ExpectationFailed } from '../lab/index.js';
import { type ErrorReport, reportOf } from './errors.js';
import { EXIT } from './output.js';

export interface ScenarioFailure extends ErrorReport {
  /** Class of the error. */
  readonly type: string;
  /** An expectation did not hold; otherwise the scenario came to no end, or could not be read. */
  readonly isExpectation: boolean;
  /** Of the scenario file, from 1. */
  readonly line?: number;
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

/** Scenario files that this process has loaded. */
const loaded = new Set<string>();

export function rememberScenario(file: string): void {
  loaded.add(file);
}

/** What a scenario that was loaded has thrown, or what it called threw; undefined: no scenario was under way. */
export function reportOfScenario(error: unknown): ErrorReport | undefined {
  if (!(error instanceof Error)) return undefined;
  const file = [...loaded].find((each) => placeInScenario(each, error) !== undefined);
  if (file === undefined) return undefined;
  const { line: _line, type: _type, isExpectation: _is, ...report } = failureOf(file, error);
  return { ...report, file };
}
