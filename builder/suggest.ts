import type { Comparison, FunctionComparison } from './compare.js';
import type { BuildFinding } from './finding.js';
import type { CodeFunction } from './program.js';

/** How to compile the fixed build so that a hotpatch can be made of it. */
export interface Suggestion {
  /** IR names for -fms-secure-hotpatch-functions-list: joined by commas, ready to paste. */
  readonly functions: readonly string[];
  /** What else is seen from outside: other options, another compiler, `__LINE__`. */
  readonly notes: readonly string[];
}

/** Refusals that end when the function is marked. */
const ENDED_BY_MARKING = new Set(['global.direct', 'callee.notRedirected']);

/**
 * The functions that have to be marked: those that differ and are in the base, those that are new and reached, and those
 * that a refusal names. A mark on a function that needs none does no harm.
 */
export function suggest(
  { functions }: Comparison,
  reached: ReadonlyMap<CodeFunction, unknown>,
  findings: readonly BuildFinding[],
  notes: readonly string[] = [],
): Suggestion {
  const named = new Set(
    findings.filter(({ rule }) => ENDED_BY_MARKING.has(rule)).flatMap(({ symbol }) => symbol ?? []),
  );
  const isWanted = ({ verdict, fixed }: FunctionComparison) =>
    fixed !== undefined &&
    (verdict === 'changed' || (verdict === 'new' && reached.has(fixed)) || named.has(fixed.name));
  const names = functions
    .filter(isWanted)
    .flatMap(({ fixed }) => (fixed === undefined ? [] : irNames(fixed)));
  return { functions: [...new Set(names)].sort(), notes };
}

/**
 * The names that LLVM may know a function by, one for each symbol at its place: C++ names and stdcall ones as the linker
 * has them, C names plain. A static C++ function has its linker name from a map: a PDB does not tell it.
 */
export function irNames({ symbols, name }: CodeFunction): readonly string[] {
  const names = symbols
    .filter((symbol) => !symbol.name.startsWith('.'))
    .map(({ name: plain, rawName = plain }) => (/^\?|@\d+$/.test(rawName) ? rawName : plain));
  return names.length === 0 ? [name] : [...new Set(names)];
}
