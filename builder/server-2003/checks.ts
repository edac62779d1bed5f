import { HAS_HOTP1, hasHotp1Section, type PeImage, readColdpatch } from '../../image/index.js';
import { exportChanges } from '../checks/exports.js';
import { checkRoom } from '../checks/images.js';
import type { Findings } from '../finding.js';

/** Are they two plain builds of which that generation could make a hotpatch? Asked before anything is compared. */
export function checkImages(base: PeImage, fixed: PeImage, findings: Findings): void {
  if (!HAS_HOTP1[base.architecture])
    findings.report('image.machine', `that generation is for I386 and AMD64, the base is ${base.machine}`);
  else if (base.machine !== fixed.machine)
    findings.report('image.machine', `the base is ${base.machine}, the fixed build ${fixed.machine}`);
  checkRoom(fixed, findings);
  for (const [which, image] of [
    ['base', base],
    ['fixed build', fixed],
  ] as const)
    if (readColdpatch(image) !== undefined) findings.report('image.coldpatch', `the ${which} is a coldpatch`);
  if (hasHotp1Section(fixed)) findings.report('image.hasTable', 'it has a section .hotp1');
}

/**
 * "Changed exports" and "changed dependencies" were listed among what cannot be hotpatched (technet cc778993): importers
 * have bound themselves to the running image, and the hotpatch's own imports are not the target's.
 */
export function checkInterface(base: PeImage, fixed: PeImage, findings: Findings): void {
  for (const { name, text } of exportChanges(base, fixed)) findings.report('hotp1.exports', text, name);
  const [had, has] = [importsOf(base), importsOf(fixed)];
  for (const name of has)
    if (!had.has(name)) findings.report('hotp1.imports', 'the base does not import it', name);
}

function importsOf({ imports }: PeImage): Set<string> {
  return new Set(
    imports.flatMap(({ module, functions }) =>
      functions.map(({ name, ordinal }) => `${module.toLowerCase()}!${name ?? `#${ordinal}`}`),
    ),
  );
}
