import { addressFlow, hasIdentity } from '../address-flow.js';
import type { Examination } from '../examination.js';
import { isImagePrivate } from '../image-private.js';

/** Patched code that asks whether an address is that of a function or constant: its own copy has another than the base's. */
export function checkIdentity({ comparison, reach, findings }: Examination): void {
  const { base, fixed, matching } = comparison;
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
