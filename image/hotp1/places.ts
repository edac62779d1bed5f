import type { PeImage } from '../image.js';
import { isExecutable } from '../sections.js';
import type { Hotp1 } from './format.js';

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
