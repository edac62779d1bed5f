import { CompareData } from './compare-data.js';
import { type Matching, matchPrograms } from './match.js';
import { inlinedFunctions } from './pdb-facts.js';
import type { CodeFunction, Program, Variable } from './program.js';

/** What happened to a function between the base and the fixed build. */
export type Verdict = 'changed' | 'unchanged' | 'new' | 'removed';

export interface FunctionComparison {
  readonly verdict: Verdict;
  readonly base?: CodeFunction;
  readonly fixed?: CodeFunction;
  /** Why: each difference that was found, or what was compared and found equal. */
  readonly reasons: readonly string[];
}

export interface VariableComparison {
  readonly base: Variable;
  readonly fixed: Variable;
  readonly differences: readonly { readonly kind: 'value' | 'size' | 'protection'; readonly text: string }[];
}

/** Everything that differs between two builds of one program. */
export interface Comparison {
  readonly base: Program;
  readonly fixed: Program;
  readonly matching: Matching;
  /** In order of the fixed build's addresses; removed ones last. */
  readonly functions: readonly FunctionComparison[];
  /** Mutable variables that both have and that differ. */
  readonly variables: readonly VariableComparison[];
  verdictOf(fixed: CodeFunction): Verdict;
  /** Is a constant of the fixed build, with all it points to, the same as in the base? */
  isSameConstant(base: Variable, fixed: Variable): boolean;
}

/** Compares two builds. Nothing is trusted: names pair functions, bytes and resolved references decide. */
export function compare(
  base: Program,
  fixed: Program,
  onProgress?: (compared: number, functions: number) => void,
): Comparison {
  const matching = matchPrograms(base, fixed);
  const data = new CompareData(base, fixed, matching);
  const changedNames = new Set<string>();
  const both = fixed.functions.map((code, index): FunctionComparison => {
    onProgress?.(index, fixed.functions.length);
    const original = matching.functions.baseOf(code);
    if (original === undefined)
      return { verdict: 'new', fixed: code, reasons: ['the base has no function of this name'] };
    const reasons = [
      ...contributionDifference(original, code),
      ...streamDifference(base, fixed, original, code, data),
    ];
    if (reasons.length > 0) changedNames.add(code.name);
    return reasons.length > 0
      ? { verdict: 'changed', base: original, fixed: code, reasons }
      : { verdict: 'unchanged', base: original, fixed: code, reasons: [sameText(original, code)] };
  });
  const removed = base.functions
    .filter((code) => matching.functions.fixedOf(code) === undefined)
    .map(
      (code): FunctionComparison => ({
        verdict: 'removed',
        base: code,
        reasons: ['the fixed build has no function of this name: inlined everywhere, or deleted'],
      }),
    );
  const functions = [...withInlining(both, fixed, changedNames, removed), ...removed];
  const verdicts = new Map(functions.map((entry) => [entry.fixed, entry.verdict]));
  return {
    base,
    fixed,
    matching,
    functions,
    variables: compareVariables(base, matching, data),
    verdictOf: (code) => verdicts.get(code) ?? 'new',
    isSameConstant: (a, b) => data.difference(a, b) === undefined,
  };
}

function sameText(base: CodeFunction, fixed: CodeFunction): string {
  const crc = base.contribution !== undefined && fixed.contribution !== undefined ? 'same CRC, ' : '';
  return `${crc}same instructions, every reference means the same`;
}

/** The CRC of a function's own chunk; a chunk that holds several functions says nothing about one of them. */
function contributionDifference(base: CodeFunction, fixed: CodeFunction): string[] {
  const before = base.contribution;
  const after = fixed.contribution;
  if (before === undefined || after === undefined) return [];
  if (before.size > base.size + 16 || after.size > fixed.size + 16) return [];
  if (before.size === after.size && before.dataCrc === after.dataCrc) return [];
  const hex = (crc: number) => crc.toString(16).padStart(8, '0');
  return [
    `section contribution ${before.size} bytes, CRC ${hex(before.dataCrc)} → ${after.size} bytes, CRC ${hex(after.dataCrc)}`,
  ];
}

function streamDifference(
  base: Program,
  fixed: Program,
  before: CodeFunction,
  after: CodeFunction,
  data: CompareData,
): string[] {
  const left = base.stream(before).instructions;
  const right = fixed.stream(after).instructions;
  const at = (offset: number) => `+0x${offset.toString(16)}`;
  const differences: string[] = [];
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const a = left[i];
    const b = right[i];
    if (a === undefined || b === undefined)
      return [...differences, `the code is ${after.size} bytes long instead of ${before.size}`];
    if (
      a.branch !== b.branch ||
      a.references.length !== b.references.length ||
      !sameBytes(a.bytes, b.bytes)
    ) {
      differences.push(`the instructions differ from ${at(a.offset)} on`);
      return differences;
    }
    for (const [j, from] of a.references.entries()) {
      const to = b.references[j];
      if (to === undefined || (from.kind === to.kind && data.isSame(from.target, to.target, before, after)))
        continue;
      const verb = from.kind === 'data' ? 'refers to' : `${from.kind}s`;
      const what = base.describe(from.target);
      const now = fixed.describe(to.target);
      const same = what === now || isNameless(what) ? ', whose contents differ' : '';
      differences.push(`${at(a.offset)} ${verb} ${what === now ? what : `${now} instead of ${what}`}${same}`);
    }
  }
  return differences;
}

function isNameless(text: string): boolean {
  return text.startsWith('+0x');
}

/** Adds to each changed function which changed ones it holds copies of, as far as the PDB says so. */
function withInlining(
  entries: readonly FunctionComparison[],
  fixed: Program,
  changed: ReadonlySet<string>,
  removed: readonly FunctionComparison[],
): FunctionComparison[] {
  const { pdb } = fixed.source;
  if (pdb === undefined) return [...entries];
  const hosts = inlinedFunctions(pdb);
  const gone = new Set(removed.map(({ base }) => base?.name));
  return entries.map((entry) => {
    const copies = entry.fixed === undefined ? undefined : hosts.get(entry.fixed.rva);
    const of = [...(copies ?? [])].filter((name) => changed.has(name) || gone.has(name));
    if (of.length === 0 || entry.verdict !== 'changed') return entry;
    return { ...entry, reasons: [...entry.reasons, `holds an inlined copy of ${of.join(', ')}`] };
  });
}

function compareVariables(base: Program, matching: Matching, data: CompareData): VariableComparison[] {
  return base.variables.flatMap((before) => {
    const after = matching.variables.fixedOf(before);
    if (after === undefined || !(before.isMutable || after.isMutable) || before.isThreadLocal) return [];
    const differences: { kind: 'value' | 'size' | 'protection'; text: string }[] = [];
    if (before.isMutable !== after.isMutable)
      differences.push({
        kind: 'protection',
        text: `it is ${after.isMutable ? 'writable' : 'read-only'} in the fixed build, ${before.isMutable ? 'writable' : 'read-only'} in the base`,
      });
    if (before.hasExactSize && after.hasExactSize && before.size !== after.size)
      differences.push({ kind: 'size', text: `${before.size} → ${after.size} bytes` });
    const value = data.difference(before, after);
    if (value !== undefined) differences.push({ kind: 'value', text: value });
    return differences.length === 0 ? [] : [{ base: before, fixed: after, differences }];
  });
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
