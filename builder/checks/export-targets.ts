import type { Comparison } from '../compare.js';
import type { Findings } from '../finding.js';
import { placeOf } from '../variables.js';

/** What each export leads to: importers have bound themselves to the base's function or variable. */
export function checkExportTargets(comparison: Comparison, findings: Findings): void {
  const { base, fixed, matching } = comparison;
  const key = ({ name, ordinal }: { name?: string; ordinal: number }) => name ?? `#${ordinal}`;
  const after = new Map((fixed.image.exports?.functions ?? []).map((entry) => [key(entry), entry]));
  for (const entry of base.image.exports?.functions ?? []) {
    const now = after.get(key(entry));
    if (now === undefined || entry.forwarder !== undefined || now.forwarder !== undefined) continue;
    const [from, to] = [base.place(entry.rva), fixed.place(now.rva)];
    if (from.kind === 'function' && to.kind === 'function') {
      if (from.offset !== to.offset || !matching.functions.isPair(from.function, to.function))
        findings.report(
          'export.target',
          `it leads to ${fixed.describe(now.rva)} instead of ${base.describe(entry.rva)}`,
          key(entry),
        );
    } else if (from.kind === 'variable' && to.kind === 'variable') {
      const isState = from.variable.isMutable || to.variable.isMutable;
      if (isState && !matching.variables.isPair(from.variable, to.variable))
        findings.report(
          'export.target',
          `it is ${placeOf(to.variable)} instead of ${placeOf(from.variable)}`,
          key(entry),
        );
      if (!isState && !comparison.isSame(entry.rva, now.rva))
        findings.report(
          'export.data',
          `importers read it in the base: ${base.describe(entry.rva)}`,
          key(entry),
        );
    }
  }
}
