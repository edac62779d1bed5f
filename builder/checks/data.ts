import type { Examination } from '../examination.js';
import { isImagePrivate } from '../image-private.js';
import { enumerations, typeLayouts } from '../types.js';

const RULE = {
  value: 'data.value',
  size: 'data.size',
  protection: 'data.protection',
  type: 'data.type',
} as const;

/** Variables that the running base has already must be what the fix takes them for. */
export function checkSharedData({ comparison, findings }: Examination): void {
  for (const { base, differences } of comparison.variables) {
    if (isImagePrivate(base)) continue;
    const size = differences.some(({ kind }) => kind === 'size');
    for (const { kind, text } of differences)
      if (!(size && kind !== 'size')) findings.report(RULE[kind], text, base.name);
  }
}

/** Structures, unions and classes that both PDBs know under one name. */
export function checkTypes({ comparison, findings }: Examination): void {
  const { base, fixed } = comparison;
  if (base.source.pdb === undefined || fixed.source.pdb === undefined) return;
  const before = typeLayouts(base.source.pdb);
  for (const [name, layout] of typeLayouts(fixed.source.pdb)) {
    const old = before.get(name);
    if (old !== undefined && old.text !== layout.text)
      findings.report(
        'type.layout',
        `${old.size} bytes { ${old.text} } → ${layout.size} bytes { ${layout.text} }`,
        name,
      );
  }
}

/** Enumerators that both PDBs know under one name of their enumeration: variables hold their numbers. */
export function checkEnumerators({ comparison, findings }: Examination): void {
  const { base, fixed } = comparison;
  if (base.source.pdb === undefined || fixed.source.pdb === undefined) return;
  const before = enumerations(base.source.pdb);
  for (const [name, values] of enumerations(fixed.source.pdb)) {
    const old = before.get(name);
    if (old === undefined) continue;
    const names = new Map([...values].map(([enumerator, value]) => [value, enumerator]));
    for (const [enumerator, value] of old) {
      const now = values.get(enumerator);
      const taker = names.get(value);
      if (now !== undefined && now !== value && !isCount(enumerator, value, old))
        findings.report('type.enumerator', `${enumerator} is ${now} instead of ${value}`, name);
      else if (now === undefined && taker !== undefined && !old.has(taker))
        findings.report('type.enumerator', `${value} is ${taker} instead of ${enumerator}`, name);
    }
  }
}

/** The last enumerator that only says how many there are: no variable holds it. */
function isCount(enumerator: string, value: bigint, all: ReadonlyMap<string, bigint>): boolean {
  const isLast = [...all.values()].every((other) => other <= value);
  return isLast && /(^|_|[a-z])(max|maximum|count|last|end|num|size|total|sentinel)s?$/i.test(enumerator);
}
