import { IMAGE_SCN, type PeImage } from '../../image/index.js';
import type { Comparison } from '../compare.js';
import type { Findings } from '../finding.js';
import { placeOf } from '../variables.js';

/** What became of an export between base and fixed build. */
export interface ExportChange {
  readonly kind: 'added' | 'changed' | 'removed';
  /** Its name, `#ordinal` when it has none. */
  readonly name: string;
  readonly text: string;
}

/** Each export must stay what it was: callers have bound themselves to it. */
export function checkExports(base: PeImage, fixed: PeImage, findings: Findings): void {
  for (const { kind, name, text } of exportChanges(base, fixed))
    if (kind !== 'added' || name !== '__PatchMainCallout__') findings.report(`export.${kind}`, text, name);
}

/** Those of the base that changed or went, then the new ones. */
export function exportChanges(base: PeImage, fixed: PeImage): ExportChange[] {
  const key = ({ name, ordinal }: { name?: string; ordinal: number }) => name ?? `#${ordinal}`;
  const before = new Map((base.exports?.functions ?? []).map((entry) => [key(entry), entry]));
  const after = new Map((fixed.exports?.functions ?? []).map((entry) => [key(entry), entry]));
  const changes: ExportChange[] = [];
  for (const [name, entry] of before) {
    const now = after.get(name);
    const changed = (text: string) => void changes.push({ kind: 'changed', name, text });
    if (now === undefined)
      changes.push({ kind: 'removed', name, text: 'the fixed build does not export it' });
    else if (now.ordinal !== entry.ordinal) changed(`ordinal ${entry.ordinal} → ${now.ordinal}`);
    else if (what(base, entry) !== what(fixed, now)) changed(`${what(base, entry)} → ${what(fixed, now)}`);
  }
  for (const name of after.keys())
    if (!before.has(name)) changes.push({ kind: 'added', name, text: 'the base has no such export' });
  return changes;
}

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

function what(image: PeImage, { rva, forwarder }: { rva: number; forwarder?: string }): string {
  if (forwarder !== undefined) return `forwarder to ${forwarder}`;
  const section = image.sectionAt(rva);
  return section !== undefined && (section.characteristics & IMAGE_SCN.MEM_EXECUTE) !== 0
    ? 'function'
    : 'variable';
}
