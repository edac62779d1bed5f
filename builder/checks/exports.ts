import { IMAGE_SCN, type PeImage } from '../../image/index.js';
import type { Findings } from '../finding.js';

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

function what(image: PeImage, { rva, forwarder }: { rva: number; forwarder?: string }): string {
  if (forwarder !== undefined) return `forwarder to ${forwarder}`;
  const section = image.sectionAt(rva);
  return section !== undefined && (section.characteristics & IMAGE_SCN.MEM_EXECUTE) !== 0
    ? 'function'
    : 'variable';
}
