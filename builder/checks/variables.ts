import type { Examination } from '../examination.js';
import { isGuard } from '../identity.js';
import { isImagePrivate } from '../image-private.js';
import { SAME_PARTS } from '../match-numbered.js';
import type { CodeFunction, Program, Variable } from '../program.js';
import { variableTypes } from '../types.js';
import { initialValue, placeOf } from '../variables.js';

/** Variables that patched code uses and the base has not: they begin anew, whatever a running base has counted so far. */
export function checkNewVariables({ comparison, reach, findings }: Examination): void {
  const { base, fixed, matching } = comparison;
  const used = usedVariables(fixed, reach);
  const isNew = (variable: Variable) =>
    variable.isMutable &&
    !variable.isReference &&
    !variable.isNameless &&
    !variable.isThreadLocal &&
    matching.variables.baseOf(variable) === undefined &&
    !matching.variables.isAmbiguous(variable);
  const gone = base.variables.filter(
    (variable) =>
      variable.isMutable && !variable.isNameless && matching.variables.fixedOf(variable) === undefined,
  );
  for (const variable of used) {
    if (!isNew(variable) || isOfTheImage(fixed, variable)) continue;
    const like = gone.filter(
      (other) => other.size === variable.size && other.hasExactSize && other.module === variable.module,
    );
    if (like.length > 0)
      findings.report(
        'variable.renamed',
        `it starts at ${initialValue(fixed, variable)}, and ${like.map(placeOf).join(', ')} of the base is gone`,
        variable.name,
      );
  }
}

/**
 * What the optimiser has made of a variable, where names, types and sizes say no more what it means. Clang drops the type of
 * what it shrinks to one byte.
 */
export function checkOptimised({ comparison, reach, findings }: Examination): void {
  const { base, fixed, matching } = comparison;
  const types = fixed.source.pdb && variableTypes(fixed.source.pdb);
  const isShrunk = ({ rva, size, hasExactSize, symbols }: Variable) =>
    types !== undefined && !types.has(rva) && hasExactSize && size === 1 && !symbols.some(isGuard);
  for (const variable of usedVariables(fixed, reach)) {
    const original = matching.variables.baseOf(variable);
    if (original === undefined || !variable.isMutable) continue;
    if (matching.variables.whyOf(variable) === SAME_PARTS)
      findings.report(
        'variable.optimised',
        `${placeOf(variable)} is taken for +0x${original.rva.toString(16)} of the base, because both builds have as many parts`,
        variable.name,
      );
    else if (isShrunk(variable))
      findings.report('variable.shrunk', 'no record of the PDB tells its type', variable.name);
  }
  const changed = comparison.functions.filter(({ verdict }) => verdict === 'changed');
  const gone = new Map<Variable, CodeFunction>();
  for (const { base: code } of changed)
    for (const { target } of code === undefined ? [] : base.stream(code).references) {
      const variable = base.variableAt(target);
      const isState = variable?.isMutable && !variable.isNameless && !variable.isThreadLocal;
      if (!isState || isImagePrivate(variable) || isOfTheImage(base, variable)) continue;
      if (matching.variables.fixedOf(variable) !== undefined || matching.variables.isAmbiguous(variable))
        continue;
      if (code !== undefined) gone.set(variable, code);
    }
  for (const [variable, code] of gone)
    findings.report('variable.removed', `${code.name} of the base uses it`, placeOf(variable));
}

/** Mutable or not, in the patch image or by a pointer to the base. */
function usedVariables(fixed: Program, reach: Examination['reach']): Set<Variable> {
  const used = new Set(reach.accesses.map(({ variable }) => variable));
  for (const slot of reach.slots.keys()) {
    const place = fixed.place(fixed.pointerTarget(slot.rva));
    if (place.kind === 'variable') used.add(place.variable);
  }
  return used;
}

function isOfTheImage(program: Program, { rva, symbols }: Variable): boolean {
  return program.imports.has(rva) || symbols.some(({ name }) => name.startsWith('__imp_'));
}
