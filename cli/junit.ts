import { describeReport } from './errors.js';
import { writeOutput } from './files.js';
import type { ScenarioRun } from './scenario-runs.js';

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
  const { file, title, expectations, transcript, error, seconds } = run;
  const story = transcript.map(({ text }) => text).join('\n');
  const assertions = expectations + (error?.isExpectation === true ? 1 : 0);
  const line = error?.line === undefined ? {} : { file, line: error.line };
  return [
    `  <testsuite${attributes({ name: file, ...counts([run]) })}>`,
    `    <testcase${attributes({ name: title, classname: file, assertions, time: seconds.toFixed(3), ...line })}>`,
    ...(error === undefined ? [] : [`      ${problem(error)}`]),
    `      <system-out>${escapeXml(story)}</system-out>`,
    '    </testcase>',
    '  </testsuite>',
  ];
}

/** `failure`: an expectation did not hold. `error`: the scenario came to no end. */
function problem(error: NonNullable<ScenarioRun['error']>): string {
  const { type, isExpectation, line, place, ...report } = error;
  const text = describeReport(line === undefined && place !== undefined ? { ...report, place } : report);
  const element = isExpectation ? 'failure' : 'error';
  const [message = ''] = text.split('\n');
  return `<${element}${attributes({ message, type })}>${escapeXml(text)}</${element}>`;
}

function counts(runs: readonly ScenarioRun[]): Record<string, string | number> {
  const failed = runs.flatMap(({ error }) => error ?? []);
  const failures = failed.filter(({ isExpectation }) => isExpectation).length;
  return {
    tests: runs.length,
    failures,
    errors: failed.length - failures,
    time: runs.reduce((sum, { seconds }) => sum + seconds, 0).toFixed(3),
  };
}

/** ` name="value"…`, escaped. */
export function attributes(values: Record<string, string | number>): string {
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
