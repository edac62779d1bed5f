import type { Examination } from '../examination.js';
import type { Program, Variable } from '../program.js';
import { initialValue, placeOf } from '../variables.js';

/** Variables that patched code uses and the base has not: they begin anew, whatever a running base has counted so far. */
export function checkNewVariables({ comparison, reach, findings }: Examination): void {
  const { base, fixed, matching } = comparison;
  const used = new Set(reach.accesses.map(({ variable }) => variable));
  for (const slot of reach.slots.keys()) {
    const place = fixed.place(fixed.pointerTarget(slot.rva));
    if (place.kind === 'variable') used.add(place.variable);
  }
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

function isOfTheImage(program: Program, { rva, symbols }: Variable): boolean {
  return program.imports.has(rva) || symbols.some(({ name }) => name.startsWith('__imp_'));
}
