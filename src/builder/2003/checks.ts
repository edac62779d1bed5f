import type { PeImage } from '../../image/index.js';
import type { Findings } from '../finding.js';

/**
 * "Changed exports" and "changed dependencies" were listed among what cannot be hotpatched (technet cc778993): importers
 * have bound themselves to the running image, and the hotpatch's own imports are not the target's.
 */
export function checkInterface(base: PeImage, fixed: PeImage, findings: Findings): void {
  const [before, after] = [exportsOf(base), exportsOf(fixed)];
  for (const name of after)
    if (!before.has(name)) findings.report('hotp1.exports', 'the base does not export it', name);
  for (const name of before)
    if (!after.has(name)) findings.report('hotp1.exports', 'the fix does not export it', name);
  const [had, has] = [importsOf(base), importsOf(fixed)];
  for (const name of has)
    if (!had.has(name)) findings.report('hotp1.imports', 'the base does not import it', name);
}

function exportsOf({ exports }: PeImage): Set<string> {
  return new Set((exports?.functions ?? []).map(({ name, ordinal }) => `${name ?? ''}#${ordinal}`));
}

function importsOf({ imports }: PeImage): Set<string> {
  return new Set(
    imports.flatMap(({ module, functions }) =>
      functions.map(({ name, ordinal }) => `${module.toLowerCase()}!${name ?? `#${ordinal}`}`),
    ),
  );
}
