import { computeCheckSum } from '../checksum.js';
import { ImageError } from '../error.js';
import { directoryOffset, FILE_HEADER, optionalHeaderStruct } from '../headers.js';
import { type PeImage, readImage } from '../image.js';
import { type LoadConfigField, type LoadConfigValues, loadConfigStruct } from '../load-config.js';
import type { ImageRule } from '../rules.js';
import { SECTION_HEADER_REST, SECTION_HEADER_SIZE, SECTION_NAME_SIZE } from '../sections.js';
import { alignUp, hex } from '../text.js';
import { type DirectoryName, IMAGE_SCN } from '../winnt.js';

/** A section that is added to an image. */
export interface NewSection {
  /** At most eight bytes. */
  name: string;
  /** Its bytes in the file. */
  data: Uint8Array;
  /** Bits of IMAGE_SCN. */
  characteristics: number;
}

/** Name of the section that holds a hotpatch table which was added to an image. */
export const HOT_PATCH_SECTION = '.hpat';

/**
 * Appends a section to a finished image: its header, its data, NumberOfSections, SizeOfImage, SizeOfCode or
 * SizeOfInitializedData, and the checksum where the image has one.
 * @returns a new file and the RVA of the section
 * @throws ImageError for a signed image (its signature would no longer hold) and where the headers have no room
 */
export function appendSection(image: PeImage, section: NewSection): { bytes: Uint8Array; rva: number } {
  const { headers, optionalHeader, sections } = image;
  const refuse = (rule: ImageRule, place: string, message: string, hint: string) =>
    new ImageError({ rule, place, message, hint, file: image.file });
  if (image.isSigned) {
    throw refuse(
      'write.signed',
      'security directory',
      'the image is signed, and a changed image no longer matches its signature',
      'append to the unsigned image and sign it afterwards',
    );
  }
  const name = new TextEncoder().encode(section.name);
  if (name.length > SECTION_NAME_SIZE) {
    throw refuse(
      'write.sectionName',
      section.name,
      'a section name has at most 8 bytes',
      'choose a shorter name',
    );
  }
  const headerAt = headers.sectionTableOffset + SECTION_HEADER_SIZE * sections.length;
  const room = image.bytes.subarray(
    headerAt,
    Math.min(headerAt + SECTION_HEADER_SIZE, optionalHeader.sizeOfHeaders),
  );
  if (room.length < SECTION_HEADER_SIZE || room.some((byte) => byte !== 0)) {
    throw refuse(
      'write.headerRoom',
      `section table +${hex(SECTION_HEADER_SIZE * sections.length)}`,
      `no room for another ${SECTION_HEADER_SIZE}-byte section header before SizeOfHeaders ${hex(optionalHeader.sizeOfHeaders)}`,
      'link the image with a spare section, or without a long DOS stub',
    );
  }

  const { sectionAlignment, fileAlignment } = optionalHeader;
  const rva = alignUp(
    sections.reduce(
      (end, s) => Math.max(end, s.virtualAddress + Math.max(s.virtualSize, s.sizeInMemory)),
      optionalHeader.sizeOfHeaders,
    ),
    sectionAlignment,
  );
  const pointerToRawData = alignUp(image.bytes.length, fileAlignment);
  const sizeOfRawData = alignUp(section.data.length, fileAlignment);

  const bytes = new Uint8Array(pointerToRawData + sizeOfRawData);
  bytes.set(image.bytes);
  bytes.set(section.data, pointerToRawData);
  bytes.set(name, headerAt);
  SECTION_HEADER_REST.write(bytes, headerAt + SECTION_NAME_SIZE, {
    virtualSize: section.data.length,
    virtualAddress: rva,
    sizeOfRawData,
    pointerToRawData,
    characteristics: section.characteristics,
  });
  FILE_HEADER.write(bytes, headers.fileHeaderOffset, { numberOfSections: sections.length + 1 });
  const optional = optionalHeaderStruct(image.pointerSize);
  optional.write(bytes, headers.optionalHeaderOffset, {
    sizeOfImage: alignUp(rva + section.data.length, sectionAlignment),
    ...((section.characteristics & IMAGE_SCN.CNT_INITIALIZED_DATA) !== 0
      ? { sizeOfInitializedData: optionalHeader.sizeOfInitializedData + sizeOfRawData }
      : {}),
  });
  if ((section.characteristics & IMAGE_SCN.CNT_CODE) !== 0) {
    const at = headers.optionalHeaderOffset;
    const sizeOfCodeOffset = 4;
    const view = new DataView(bytes.buffer);
    view.setUint32(at + sizeOfCodeOffset, optionalHeader.sizeOfCode + sizeOfRawData, true);
  }
  updateCheckSum(bytes, image);
  return { bytes, rva };
}

/**
 * Changes fields of the load configuration in a copy of the file and recomputes the checksum.
 * @throws ImageError for a signed image, one without load configuration, and one whose load configuration is too short
 */
export function setLoadConfigFields(
  image: PeImage,
  values: Partial<Pick<LoadConfigValues, LoadConfigField>>,
): Uint8Array {
  const { loadConfig } = image;
  const refuse = (rule: ImageRule, message: string, hint: string) =>
    new ImageError({ rule, place: 'load config', message, hint, file: image.file });
  if (image.isSigned) {
    throw refuse('write.signed', 'the image is signed', 'change the unsigned image and sign it afterwards');
  }
  if (loadConfig === undefined) {
    throw refuse(
      'loadConfig.absent',
      'the image has no load configuration',
      'link an object that defines _load_config_used (__load_config_used on x86)',
    );
  }
  const struct = loadConfigStruct(image.pointerSize);
  const bytes = image.bytes.slice();
  for (const [name, value] of Object.entries(values) as [LoadConfigField, number | bigint][]) {
    if (!loadConfig.has(name)) {
      throw refuse(
        'loadConfig.size',
        `Size ${hex(loadConfig.size)} does not reach ${name} at +${hex(struct.offsetOf(name))}`,
        'link with the load configuration of a current Windows SDK',
      );
    }
    const offset = image.rvaToOffset(loadConfig.rva + struct.offsetOf(name));
    if (offset === undefined)
      throw refuse('loadConfig.bounds', `${name} is not in the file`, 'relink the image');
    struct.write(bytes, offset - struct.offsetOf(name), { [name]: value });
  }
  updateCheckSum(bytes, image);
  return bytes;
}

/** Points a data directory elsewhere in a copy of the file and recomputes the checksum. */
export function setDirectory(image: PeImage, name: DirectoryName, rva: number, size: number): Uint8Array {
  const bytes = image.bytes.slice();
  const view = new DataView(bytes.buffer);
  const at = directoryOffset(image.headers, name);
  view.setUint32(at, rva, true);
  view.setUint32(at + 4, size, true);
  updateCheckSum(bytes, image);
  return bytes;
}

/** Appends the table in a new read-only section `.hpat` and points HotPatchTableOffset at it. */
export function appendHotPatchTable(image: PeImage, table: Uint8Array): Uint8Array {
  setLoadConfigFields(image, { hotPatchTableOffset: 0 });
  const { bytes, rva } = appendSection(image, {
    name: HOT_PATCH_SECTION,
    data: table,
    characteristics: IMAGE_SCN.CNT_INITIALIZED_DATA | IMAGE_SCN.MEM_READ,
  });
  return setLoadConfigFields(readImage(bytes, image.file === undefined ? {} : { file: image.file }), {
    hotPatchTableOffset: rva,
  });
}

/** Writes the checksum of the changed bytes; a hotpatch image is known by it, so an absent one is filled in too. */
function updateCheckSum(bytes: Uint8Array, image: PeImage): void {
  const checkSum = computeCheckSum(bytes, image.checkSumOffset);
  optionalHeaderStruct(image.pointerSize).write(bytes, image.headers.optionalHeaderOffset, { checkSum });
}
