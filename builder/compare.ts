import { Equality } from './equality.js';
import { isFunclet } from './frames.js';
import { isLinkerMade } from './image-private.js';
import { isDiscarded, isInitialiser } from './lifetime.js';
import { type Matching, matchPrograms, type NamedPair } from './match.js';
import { inlinedFunctions } from './pdb-facts.js';
import type { CodeFunction, Program, Variable } from './program.js';
import { variableTypes } from './types.js';

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
  readonly differences: readonly {
    readonly kind: 'value' | 'size' | 'protection' | 'type';
    readonly text: string;
  }[];
}

/** Everything that differs between two builds of one program. */
export interface Comparison {
  readonly base: Program;
  readonly fixed: Program;
  readonly matching: Matching;
  /**
   * In order of the fixed build's addresses; removed ones last. Where functions are folded in one of the builds, one for
   * each pair.
   */
  readonly functions: readonly FunctionComparison[];
  /** Mutable variables that both have and that differ. */
  readonly variables: readonly VariableComparison[];
  /** Of a function of the fixed build: `changed` when any of its counterparts in the base differs. */
  verdictOf(fixed: CodeFunction): Verdict;
  /** Is a constant of the fixed build, with all it points to, the same as in the base? */
  isSameConstant(base: Variable, fixed: Variable): boolean;
  /** Do these RVAs mean the same? Functions and variables by identity, constants by contents. */
  isSame(baseRva: number, fixedRva: number): boolean;
}

export interface CompareOptions {
  readonly pairs?: readonly NamedPair[];
  /** Called as the functions of the two builds are compared. */
  readonly onProgress?: ((compared: number, functions: number) => void) | undefined;
}

/** Compares two builds. Nothing is trusted: names pair functions, bytes and resolved references decide. */
export function compare(base: Program, fixed: Program, options: CompareOptions = {}): Comparison {
  const matching = matchPrograms(base, fixed, options.pairs);
  const equality = new Equality(base, fixed, matching);
  const changedNames = new Set<string>();
  const both = fixed.functions.flatMap((code, index): FunctionComparison[] => {
    options.onProgress?.(index, fixed.functions.length);
    const originals = matching.functions.basesOf(code);
    if (originals.length === 0)
      return [{ verdict: 'new', fixed: code, reasons: ['the base has no function of this name'] }];
    return originals.map((original) => {
      const reasons = isLinkerMade(code.name)
        ? []
        : withContribution(equality.functionDifferences(original, code), original, code);
      if (reasons.length > 0) changedNames.add(code.name);
      return reasons.length > 0
        ? { verdict: 'changed', base: original, fixed: code, reasons }
        : { verdict: 'unchanged', base: original, fixed: code, reasons: [sameText(original, code)] };
    });
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
  const verdicts = new Map<CodeFunction, Verdict>();
  for (const { fixed: code, verdict } of functions)
    if (code !== undefined && verdicts.get(code) !== 'changed') verdicts.set(code, verdict);
  return {
    base,
    fixed,
    matching,
    functions,
    variables: compareVariables(base, fixed, matching, equality),
    verdictOf: (code) => verdicts.get(code) ?? 'new',
    isSameConstant: (a, b) => equality.difference(a, b) === undefined,
    isSame: (a, b) => equality.isSame(a, b),
  };
}

/**
 * The functions that have to be redirected: what runs in another function's frame goes with that function, and what is
 * freed after initialisation stays.
 */
export function redirectedFunctions({ base: program, functions }: Comparison): readonly FunctionComparison[] {
  return functions.filter(
    ({ verdict, base }) => verdict === 'changed' && base !== undefined && !staysAsItIs(program, base),
  );
}

/** Is it of no use to redirect this function of the base, or wrong? It runs in another one's frame, never again, or is gone. */
export function staysAsItIs(program: Program, code: CodeFunction): boolean {
  return isFunclet(code) || isDiscarded(program, code) || isInitialiser(code);
}

function sameText(base: CodeFunction, fixed: CodeFunction): string {
  const isSameChunk = base.contribution?.dataCrc === fixed.contribution?.dataCrc;
  const crc = base.contribution !== undefined && isSameChunk ? 'same CRC, ' : '';
  return `${crc}same instructions, every reference means the same`;
}

/**
 * The CRC of a function's own chunk, beside what differs. It decides nothing: it is over the bytes before relocation, in
 * which the offsets of nameless variables stand.
 */
function withContribution(reasons: readonly string[], base: CodeFunction, fixed: CodeFunction): string[] {
  const before = base.contribution;
  const after = fixed.contribution;
  if (reasons.length === 0 || before === undefined || after === undefined) return [...reasons];
  if (before.size > base.size + 16 || after.size > fixed.size + 16) return [...reasons];
  if (before.size === after.size && before.dataCrc === after.dataCrc) return [...reasons];
  const hex = (crc: number) => crc.toString(16).padStart(8, '0');
  return [
    `section contribution ${before.size} bytes, CRC ${hex(before.dataCrc)} → ${after.size} bytes, CRC ${hex(after.dataCrc)}`,
    ...reasons,
  ];
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

function compareVariables(
  base: Program,
  fixed: Program,
  matching: Matching,
  equality: Equality,
): VariableComparison[] {
  const before = base.source.pdb && variableTypes(base.source.pdb);
  const after = fixed.source.pdb && variableTypes(fixed.source.pdb);
  return base.variables.flatMap((variable) => {
    const other = matching.variables.fixedOf(variable);
    if (other === undefined || !(variable.isMutable || other.isMutable) || variable.isThreadLocal) return [];
    // What a loader or a linker's thunk fills.
    if (base.imports.has(variable.rva)) return [];
    const differences: { kind: 'value' | 'size' | 'protection' | 'type'; text: string }[] = [];
    if (variable.isMutable !== other.isMutable)
      differences.push({
        kind: 'protection',
        text: `it is ${other.isMutable ? 'writable' : 'read-only'} in the fixed build, ${variable.isMutable ? 'writable' : 'read-only'} in the base`,
      });
    if (variable.hasExactSize && other.hasExactSize && variable.size !== other.size)
      differences.push({ kind: 'size', text: `${variable.size} → ${other.size} bytes` });
    const [was, is] = [before?.get(variable.rva), after?.get(other.rva)];
    if (was !== undefined && is !== undefined && was !== is)
      differences.push({ kind: 'type', text: `${was} → ${is}` });
    const value = equality.difference(variable, other);
    if (value !== undefined) differences.push({ kind: 'value', text: value });
    return differences.length === 0 ? [] : [{ base: variable, fixed: other, differences }];
  });
}
