import { ImageError } from '../error.js';
import type { PeImage } from '../image.js';
import { hex, latin1 } from '../text.js';
import {
  FIXUP_TYPE,
  HOTP1_HEADER_SIZE,
  HOTP1_SECTION,
  HOTP1_SIGNATURE,
  HOTP1_VERSION,
  HOTPATCH_HEADER,
  HOTPATCH_HOOK,
  HOTPATCH_VALIDATION,
  type Hotp1,
  type Hotp1Fixup,
  MODULE_ID_VALUE_SIZE,
} from './format.js';
import { type Hotp1RuleId, hotp1Rule } from './rules.js';

/** Does the image say that it is a hotpatch of the first generation? */
export function hasHotp1Section(image: PeImage): boolean {
  return image.sections.some(({ name }) => name === HOTP1_SECTION);
}

/**
 * Reads the `.hotp1` section; undefined when there is none.
 * @throws ImageError when it cannot be read: too short, another signature or version, arrays outside the image. What
 * Windows or this laboratory would refuse is for `validateHotp1` to say.
 */
export function readHotp1(image: PeImage): Hotp1 | undefined {
  const section = image.sections.find(({ name }) => name === HOTP1_SECTION);
  if (section === undefined) return undefined;
  const { virtualAddress: rva, virtualSize } = section;
  const at = (field: Parameters<typeof HOTPATCH_HEADER.offsetOf>[0]) =>
    `${HOTP1_SECTION} +${hex(HOTPATCH_HEADER.offsetOf(field))}`;
  if (virtualSize < HOTP1_HEADER_SIZE)
    throw broken('hotp1.size', `${HOTP1_SECTION} +0x0`, `it has ${virtualSize}`, image);
  const reader = image.readerAt(rva, HOTP1_HEADER_SIZE, HOTP1_SECTION);
  const header = HOTPATCH_HEADER.read(reader);
  if (header.signature !== HOTP1_SIGNATURE)
    throw broken('hotp1.signature', at('signature'), hex(header.signature, 8), image);
  if (header.version !== HOTP1_VERSION)
    throw broken('hotp1.version', at('version'), hex(header.version, 8), image);
  return {
    rva,
    version: header.version,
    fixupRegions: readRegions(image, header.fixupRgnCount, header.fixupRgnRva, at('fixupRgnRva')),
    validations: readArray(
      image,
      HOTPATCH_VALIDATION,
      header.validationCount,
      header.validationArrayRva,
      at('validationArrayRva'),
    ),
    validationArrayRva: header.validationArrayRva,
    hooks: readArray(image, HOTPATCH_HOOK, header.hookCount, header.hookArrayRva, at('hookArrayRva')).map(
      ({ hookType: type, hookOptions: options, ...rest }) => ({ type, options, ...rest }),
    ),
    origHotpBaseAddress: header.origHotpBaseAddress,
    origTargetBaseAddress: header.origTargetBaseAddress,
    targetName: readName(image, header.targetNameRva, at('targetNameRva')),
    moduleIdMethod: header.moduleIdMethod,
    moduleIdValue: Uint8Array.from(reader.bytesAt(HOTPATCH_HEADER.size, MODULE_ID_VALUE_SIZE)),
  };
}

function readArray<T>(
  image: PeImage,
  struct: { readonly size: number; read(reader: ReturnType<PeImage['readerAt']>, offset: number): T },
  count: number,
  rva: number,
  place: string,
): T[] {
  if (count === 0) return [];
  inside(image, rva, count * struct.size, place, `${count} entries`);
  const reader = image.readerAt(rva, count * struct.size, place);
  return Array.from({ length: count }, (_, index) => struct.read(reader, index * struct.size));
}

/** C bit fields as the compilers of Windows lay them out, the first one in the low bits: RvaHi:20, Count:12. */
function readRegions(image: PeImage, count: number, rva: number, place: string): Hotp1['fixupRegions'] {
  const regions: { rva: number; fixups: Hotp1Fixup[] }[] = [];
  let at = rva;
  for (let index = 0; index < count; index++) {
    inside(image, at, 4, place, `region ${index}`);
    const head = image.readerAt(at, 4, place).u32At(0);
    const page = (head & 0xfffff) * 0x1000;
    const entries = head >>> 20;
    inside(image, at + 4, 2 * entries, place, `${entries} fixups of region ${index}`);
    if (entries % 2 !== 0) throw broken('fixup.count', `fixup region ${index}`, `it is ${entries}`, image);
    const reader = image.readerAt(at + 4, 2 * entries, place);
    const fixups = Array.from({ length: entries }, (_, i) => reader.u16At(2 * i))
      .map((entry) => ({ rva: page + (entry & 0xfff), type: entry >>> 12 }))
      .filter(({ type }) => type !== FIXUP_TYPE.None);
    regions.push({ rva: page, fixups });
    at += 4 + 2 * entries;
  }
  return regions;
}

const LONGEST_NAME = 255;

function readName(image: PeImage, rva: number, place: string): string {
  if (rva === 0) throw broken('targetName.absent', place, 'it is 0', image);
  inside(image, rva, 1, place, 'the name of the target');
  const length = Math.min(LONGEST_NAME + 1, image.optionalHeader.sizeOfImage - rva);
  const bytes = image.read(rva, length);
  const end = bytes.indexOf(0);
  if (end < 0) throw broken('hotp1.bounds', place, 'the name of the target has no end', image);
  if (end === 0) throw broken('targetName.absent', place, 'it is empty', image);
  return latin1(bytes.subarray(0, end));
}

function inside(image: PeImage, rva: number, length: number, place: string, what: string): void {
  const { sizeOfImage } = image.optionalHeader;
  if (rva !== 0 && rva + length <= sizeOfImage) return;
  throw broken('hotp1.bounds', place, `${what} at ${hex(rva)}, SizeOfImage ${hex(sizeOfImage)}`, image);
}

function broken(rule: Hotp1RuleId, place: string, detail: string, { file }: PeImage): ImageError {
  const { description, status } = hotp1Rule(rule);
  return new ImageError({ rule, place, message: `${description}: ${detail}`, status: status.name, file });
}
