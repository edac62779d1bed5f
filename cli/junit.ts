import type { ScenarioResult } from '../lab/index.js';
import { ExpectationFailed } from '../lab/index.js';
import { describeReport, reportOf } from './errors.js';
import { writeOutput } from './files.js';

/** A scenario that was run, for the report. */
export interface ScenarioRun {
  /** As the user named it. */
  readonly file: string;
  readonly result: ScenarioResult;
  readonly seconds: number;
}

/** Writes what JUnit's readers take: a suite for each file, its scenario as a test case with its transcript. */
export function writeJunit(file: string, runs: readonly ScenarioRun[]): void {
  writeOutput(file, junitXml(runs));
}

export function junitXml(runs: readonly ScenarioRun[]): string {
  const lines = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites${attributes({ name: 'hotpatch run', ...counts(runs) })}>`,
    ...runs.flatMap(suite),
    '</testsuites>',
  ];
  return `${lines.join('\n')}\n`;
}

function suite(run: ScenarioRun): string[] {
  const { file, result, seconds } = run;
  const { title, expectations, transcript, error } = result;
  const story = transcript.map(({ text }) => text).join('\n');
  return [
    `  <testsuite${attributes({ name: file, ...counts([run]) })}>`,
    `    <testcase${attributes({ name: title, classname: file, assertions: expectations + (isExpectation(error) ? 1 : 0), time: seconds.toFixed(3) })}>`,
    ...(error === undefined ? [] : [`      ${problem(error)}`]),
    `      <system-out>${escapeXml(story)}</system-out>`,
    '    </testcase>',
    '  </testsuite>',
  ];
}

/** `failure`: an expectation did not hold. `error`: the scenario came to no end. */
function problem(error: unknown): string {
  const report = reportOf(error);
  const text = report === undefined ? String(error) : describeReport(report);
  const element = isExpectation(error) ? 'failure' : 'error';
  const type = error instanceof Error ? error.name : typeof error;
  const [message = ''] = text.split('\n');
  return `<${element}${attributes({ message, type })}>${escapeXml(text)}</${element}>`;
}

function counts(runs: readonly ScenarioRun[]): Record<string, string | number> {
  const failed = runs.filter(({ result }) => result.error !== undefined);
  const failures = failed.filter(({ result }) => isExpectation(result.error)).length;
  return {
    tests: runs.length,
    failures,
    errors: failed.length - failures,
    time: runs.reduce((sum, { seconds }) => sum + seconds, 0).toFixed(3),
  };
}

function isExpectation(error: unknown): boolean {
  return error instanceof ExpectationFailed;
}

function attributes(values: Record<string, string | number>): string {
  return Object.entries(values)
    .map(([name, value]) => ` ${name}="${escapeXml(String(value)).replaceAll('\n', '&#10;')}"`)
    .join('');
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
};

/** Text and attribute values; characters that XML 1.0 has no way to write (its production `Char`) become U+FFFD. */
export function escapeXml(text: string): string {
  return text
    .replace(/[&<>"]/g, (character) => ENTITIES[character] ?? character)
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '\ufffd');
}
