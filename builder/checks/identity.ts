import { addressFlow, hasIdentity } from '../address-flow.js';
import { redirectedFunctions } from '../compare.js';
import type { Examination } from '../examination.js';
import { isImagePrivate } from '../image-private.js';
import type { CodeFunction, Variable } from '../program.js';

/** Patched code that asks whether an address is that of a function or constant: its own copy has another than the base's. */
export function checkIdentity(examination: Examination): void {
  const { comparison, reach, findings } = examination;
  const { base, fixed, matching } = comparison;
  checkHandedOut(examination);
  for (const code of reach.inside.keys())
    for (const { offset, target } of addressFlow(fixed, code).comparisons) {
      const place = fixed.place(target);
      if (!hasIdentity(place)) continue;
      if (place.kind === 'function' && matching.functions.baseOf(place.function) === undefined) continue;
      if (place.kind === 'variable' && (isImagePrivate(place.variable) || place.variable.isReference))
        continue;
      const original =
        place.kind === 'function'
          ? matching.functions.baseOf(place.function)
          : place.kind === 'variable'
            ? matching.variables.baseOf(place.variable)
            : undefined;
      const other = original === undefined ? '' : `, which the base knows as ${base.describe(original.rva)}`;
      findings.report(
        'identity.address',
        `${code.name}+0x${offset.toString(16)} compares with the address of ${fixed.describe(target)} in the patch image${other}`,
        code.name,
      );
    }
}

/**
 * The other way round: code of the base that goes on running asks whether an address is that of its function or constant,
 * and patched code hands out the address of its own copy.
 */
function checkHandedOut({ comparison, reach, findings }: Examination): void {
  const { base, fixed, matching } = comparison;
  const handedOut = new Map<number, { readonly of: CodeFunction | Variable; readonly by: CodeFunction }>();
  for (const [code, by] of reach.addressTaken)
    for (const { rva } of matching.functions.basesOf(code)) handedOut.set(rva, { of: code, by });
  for (const { code, variable, variableOffset } of reach.accesses) {
    const original = matching.variables.baseOf(variable);
    if (original === undefined || variable.isMutable || isImagePrivate(variable)) continue;
    const { kept, passed } = addressFlow(fixed, code);
    const target = variable.rva + variableOffset;
    if (kept.has(target) || passed.has(target))
      handedOut.set(original.rva + variableOffset, { of: variable, by: code });
  }
  if (handedOut.size === 0) return;
  for (const { verdict, base: code } of comparison.functions) {
    if (verdict === 'changed' || code === undefined) continue;
    const isAsked = base
      .stream(code)
      .references.some(({ kind, target }) => kind === 'data' && handedOut.has(target));
    if (!isAsked) continue;
    for (const { offset, target } of addressFlow(base, code).comparisons) {
      const found = handedOut.get(target);
      if (found !== undefined)
        findings.report(
          'identity.address',
          `${found.by.name} hands out the address of ${found.of.name} in the patch image, and ${code.name}+0x${offset.toString(16)} of the base compares with the base’s`,
          found.by.name,
        );
    }
  }
}

/** Addresses of places inside a changed function that the base has stored: they lead into its old code. */
export function checkLabels({ comparison, findings }: Examination): void {
  const { base } = comparison;
  for (const { base: code } of redirectedFunctions(comparison)) {
    if (code === undefined) continue;
    const isInside = (target: number) => target > code.rva && target < code.rva + code.size;
    if (!base.stream(code).references.some(({ kind, target }) => kind === 'data' && isInside(target)))
      continue;
    const { kept, passed } = addressFlow(base, code);
    const [label] = [...kept, ...passed].filter(isInside);
    if (label !== undefined)
      findings.report('function.label', `it stores ${base.describe(label)}, or hands it on`, code.name);
  }
}
