import { isImagePrivate } from '../compare-data.js';
import type { Examination } from '../examination.js';
import { typeLayouts } from '../types.js';

const RULE = { value: 'data.value', size: 'data.size', protection: 'data.protection' } as const;

/** Variables that the running base has already must be what the fix takes them for. */
export function checkSharedData({ comparison, findings }: Examination): void {
  for (const { base, differences } of comparison.variables) {
    if (isImagePrivate(base)) continue;
    const size = differences.some(({ kind }) => kind === 'size');
    for (const { kind, text } of differences)
      if (!(size && kind === 'value')) findings.report(RULE[kind], text, base.name);
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
