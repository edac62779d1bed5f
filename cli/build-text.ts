import type {
  BuildFinding,
  BuiltHotPatch,
  FunctionReport,
  HotPatchAttempt,
  VariableReport,
} from '../builder/index.js';
import { isDecorated } from '../image/index.js';
import { colours, note, noteColours, print } from './output.js';

/** What `hotpatch build` prints: what became of functions and variables, then every finding on stderr. */
export function printAttempt(out: string, { built, functions, report }: HotPatchAttempt): void {
  const role = (wanted: FunctionReport['role']) => functions.filter((entry) => entry.role === wanted);
  printFunctions('patched: the base leads to the new one', role('patched'));
  printFunctions('in the patch image, reached from patched code', role('inside'));
  printFunctions('unchanged, lead back to the base', role('redirected'));
  const left = role('out');
  const removed = left.filter(({ verdict }) => verdict === 'removed');
  if (functions.length > 0)
    print(
      `${colours.bold('left out')}: ${left.length} functions${removed.length === 0 ? '' : `, of which the fix removes ${removed.map(({ name }) => name).join(', ')}`}`,
    );
  printVariables(report.variables);
  if (built !== undefined) printImage(out, built);
  for (const finding of report.findings) printFinding(finding);
  if (built === undefined) printRefusal(report.findings);
}

function printImage(out: string, { bytes, sequenceNumber, chunks }: BuiltHotPatch): void {
  const counts = chunks.map(({ direction, type, records }) => `${records.length} ${direction} ${type}`);
  print(`${colours.bold(out)}: ${bytes.length} bytes, sequence ${sequenceNumber}; ${counts.join(', ')}`);
}

/** The list of --suggest, ready to paste, and what was seen of options and compiler. */
export function printSuggestion({ report }: HotPatchAttempt): void {
  const { functions, notes } = report.suggestion;
  for (const text of notes) print(text);
  print(
    functions.length === 0
      ? 'no function has to be marked'
      : pasted(`-fms-secure-hotpatch-functions-list=${functions.map(llvmName).join(',')}`),
  );
}

/** LLVM has a byte 1 before a name that is the linker's already. */
function llvmName(name: string): string {
  return isDecorated(name) ? `\\x01${name}` : name;
}

/** As a shell reads it: `$` stands in C++ names, and only bash's `$'…'` can hold a byte 1. */
function pasted(option: string): string {
  if (option.includes('\\x01')) return `$'${option}'`;
  return /^[\w=,@?-]*$/.test(option) ? option : `'${option}'`;
}

function printFunctions(title: string, functions: readonly FunctionReport[]): void {
  if (functions.length === 0) return;
  print(colours.bold(title));
  for (const { name, reasons } of functions) print(`  ${name.padEnd(24)} ${colours.dim(reasons.join('; '))}`);
}

const TITLES: readonly (readonly [VariableReport['state'], string])[] = [
  ['new', 'new'],
  ['restarted', 'restarted'],
  ['removed', 'removed'],
  ['ambiguous', 'ambiguous'],
];

/** Those that are not simply the base's are named; the others are counted. */
function printVariables(variables: readonly VariableReport[]): void {
  if (variables.length === 0) return;
  const paired = variables.filter(({ state }) => state === 'paired').length;
  print(`${colours.bold('variables')}: ${paired} paired`);
  for (const [state, title] of TITLES)
    for (const { name, module, with: other, why } of variables.filter((entry) => entry.state === state)) {
      const place = module === undefined ? name : `${name} of ${module}`;
      print(`  ${title.padEnd(9)} ${place}${other === undefined ? '' : ` (${other})`}: ${colours.dim(why)}`);
    }
}

/** One line on stderr, and what to do about it. */
export function printFinding({ severity, symbol, message, rule, count, hint }: BuildFinding): void {
  const paint = severity === 'refusal' ? noteColours.red : noteColours.yellow;
  const times = count > 1 ? `, ${count} times` : '';
  note(`${paint(severity)}: ${symbol === undefined ? '' : `${symbol}: `}${message} (${rule}${times})`);
  note(`  hint: ${hint}`);
}

function printRefusal(findings: readonly BuildFinding[]): void {
  const refusals = findings.filter(({ severity }) => severity === 'refusal');
  const rules = [...new Set(refusals.map(({ rule }) => rule))];
  note(
    `hotpatch: no hotpatch is made: ${refusals.length} refusal${refusals.length === 1 ? '' : 's'} (${rules.join(', ')})`,
  );
}
