import type { PeImage } from '../image.js';
import { isExecutable } from '../sections.js';
import { HOOK_TYPE, type Hotp1, VALIDATION_HOOK_ONLY } from './format.js';

/** Is it an RVA of code of this image? */
export function isCode(image: PeImage, rva: number): boolean {
  const section = image.sectionAt(rva);
  return section !== undefined && isExecutable(section);
}

/** Is it the RVA of one of the validations? */
export function validationIndex({ validationArrayRva, validations }: Hotp1, rva: number): number | undefined {
  const SIZE = 12;
  const index = (rva - validationArrayRva) / SIZE;
  return Number.isInteger(index) && index >= 0 && index < validations.length ? index : undefined;
}

/**
 * The hook that a validation belongs to: undefined for one that is compared in any case, null for one that is not compared,
 * since it is for a hook only and no hook that changes anything has it.
 */
export function ownerOf(hotp1: Hotp1, index: number): number | undefined | null {
  const flags = hotp1.validations[index]?.optionFlags ?? 0;
  if ((flags & VALIDATION_HOOK_ONLY) === 0) return undefined;
  const owner = hotp1.hooks.findIndex(
    ({ type, validationRva }) => type !== HOOK_TYPE.None && validationIndex(hotp1, validationRva) === index,
  );
  return owner < 0 ? null : owner;
}
