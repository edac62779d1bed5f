import type { Comparison } from './compare.js';
import type { Findings } from './finding.js';
import type { BuildSource, CodeFunction } from './program.js';

/** Who says which functions were meant to change. Undefined: nobody does. */
export interface Confirmations {
  /** S_HOTPATCHFUNC records of the fixed build's PDB and object files. */
  readonly marked?: ReadonlySet<string>;
  /** Named by the user. */
  readonly named?: ReadonlySet<string>;
}

export function confirmations(input: {
  readonly fixed: BuildSource;
  readonly functions?: readonly string[];
}): Confirmations {
  const { pdb, objects = [] } = input.fixed;
  const marked = [
    ...(pdb?.hotPatchFunctions ?? []),
    ...objects.flatMap(({ hotPatchFunctions }) => hotPatchFunctions),
  ].map(({ name }) => name);
  return {
    ...(marked.length === 0 ? {} : { marked: new Set(marked) }),
    ...(input.functions === undefined ? {} : { named: new Set(input.functions) }),
  };
}

export function isIn(names: ReadonlySet<string> | undefined, code: CodeFunction): boolean | undefined {
  return (
    names &&
    code.symbols.some(({ name, rawName }) => names.has(name) || (rawName !== undefined && names.has(rawName)))
  );
}

/** Comparison decides; where marks and names disagree with it, that is told. */
export function checkConfirmations(
  { functions }: Comparison,
  { marked, named }: Confirmations,
  findings: Findings,
): void {
  const found = new Set<string>();
  for (const { verdict, base, fixed, reasons } of functions) {
    const code = fixed ?? base;
    if (code === undefined) continue;
    for (const { name, rawName } of code.symbols) found.add(name).add(rawName ?? name);
    const isMarked = isIn(marked, code);
    const isNamed = isIn(named, code);
    if (verdict === 'changed' && isMarked === false)
      findings.report('function.unmarked', `it has no S_HOTPATCHFUNC record; ${reasons.at(-1)}`, code.name);
    if (verdict === 'changed' && isNamed === false)
      findings.report('function.unmarked', `it was not named; ${reasons.at(-1)}`, code.name);
    if (verdict === 'unchanged' && (isMarked === true || isNamed === true))
      findings.report('function.unchanged', isMarked ? 'it is marked' : 'it was named', code.name);
  }
  for (const name of named ?? [])
    if (!found.has(name)) findings.report('function.unknown', 'neither build has it', name);
}
