import { PAGE_SIZE, type PageProtection } from '../../cpu/index.js';
import {
  applyRelocations,
  IMAGE_SCN,
  isExecutable,
  isWritable,
  type PeImage,
  type Section,
} from '../../image/index.js';
import { hex, KernelError } from '../common/index.js';

export const pages = (bytes: number): number => Math.ceil(bytes / PAGE_SIZE);

/** Pages of an image that are mapped alike: the headers, or one section. */
export interface View {
  readonly name: string;
  readonly rva: number;
  readonly pages: number;
  /** How many of them have contents of the file; the others are zero. */
  readonly pagesOfFile: number;
  readonly protection: PageProtection;
  readonly writable: boolean;
  /** IMAGE_SCN_MEM_SHARED: every process sees the same memory. */
  readonly shared: boolean;
}

/** Which protection each page of an image gets; refuses what memory integrity would refuse. */
export function imageViews(image: PeImage, name: string): View[] {
  const { sectionAlignment, sizeOfHeaders } = image.optionalHeader;
  if (sectionAlignment % PAGE_SIZE !== 0)
    throw new KernelError({
      rule: 'sectionAlignment',
      status: 'STATUS_INVALID_IMAGE_FORMAT',
      image: name,
      message: `sections are aligned to 0x${sectionAlignment.toString(16)} bytes, not to pages, so they cannot be protected one by one`,
    });
  refuseLayout(image, name);
  const headers: View = {
    name: 'headers',
    rva: 0,
    pages: pages(sizeOfHeaders),
    pagesOfFile: pages(sizeOfHeaders),
    protection: 'PAGE_READONLY',
    writable: false,
    shared: false,
  };
  const sections = image.sections.filter((section) => section.sizeInMemory > 0);
  return [
    headers,
    ...sections.map((section) => ({
      name: section.name,
      rva: section.virtualAddress,
      pages: pages(section.sizeInMemory),
      pagesOfFile: pages(section.fileSize),
      protection: protectionOf(section, name),
      writable: isWritable(section),
      shared: (section.characteristics & IMAGE_SCN.MEM_SHARED) !== 0,
    })),
  ];
}

const IMAGE_BASE_ALIGNMENT = 0x1_0000n;
/** Magic PE32 for IMAGE_FILE_MACHINE_I386, PE32+ for the others (PE format, "Optional Header"). */
const POINTER_SIZE: Readonly<Record<PeImage['architecture'], 4 | 8>> = {
  x64: 8,
  arm64: 8,
  x86: 4,
};

/** What the memory manager refuses before it creates an image section. */
function refuseLayout(image: PeImage, name: string): void {
  const { imageBase, sectionAlignment, sizeOfHeaders } = image.optionalHeader;
  const refuse = (
    rule: 'imageBaseAlignment' | 'machineMagic' | 'sectionGap',
    place: string,
    message: string,
  ) => new KernelError({ rule, status: 'STATUS_INVALID_IMAGE_FORMAT', image: name, place, message });
  if (imageBase % IMAGE_BASE_ALIGNMENT !== 0n)
    throw refuse(
      'imageBaseAlignment',
      'optional header, ImageBase',
      `ImageBase ${hex(imageBase)} is not a multiple of 0x10000`,
    );
  if (POINTER_SIZE[image.architecture] !== image.pointerSize)
    throw refuse(
      'machineMagic',
      'optional header, Magic',
      `its machine is ${image.architecture}, its optional header that of ${image.pointerSize === 8 ? 'PE32+' : 'PE32'}`,
    );
  let end = sizeOfHeaders;
  for (const section of image.sections) {
    if (section.sizeInMemory === 0) continue;
    const next = Math.ceil(end / sectionAlignment) * sectionAlignment;
    if (section.virtualAddress !== next)
      throw refuse(
        'sectionGap',
        `section ${section.name}`,
        `section ${section.name} begins at RVA ${hex(section.virtualAddress)}, and ${hex(next)} is next: a gap lies between`,
      );
    end = section.virtualAddress + section.sizeInMemory;
  }
}

function protectionOf(section: Section, image: string): PageProtection {
  const write = isWritable(section);
  const execute = isExecutable(section);
  if (write && execute)
    throw new KernelError({
      rule: 'sectionWritableAndExecutable',
      status: 'STATUS_INVALID_PAGE_PROTECTION',
      image,
      message: `section ${section.name} is both writable and executable, which memory integrity forbids`,
    });
  if (execute) return 'PAGE_EXECUTE_READ';
  if (write) return 'PAGE_READWRITE';
  return (section.characteristics & IMAGE_SCN.MEM_READ) !== 0 ? 'PAGE_READONLY' : 'PAGE_NOACCESS';
}

/** Applies the base relocations to the laid-out image in place, for an image that is loaded at `dllBase`. */
export function relocate(layout: Uint8Array, image: PeImage, dllBase: bigint, name: string): void {
  const { imageBase } = image.optionalHeader;
  if (dllBase === imageBase) return;
  if (image.isRelocationStripped)
    throw new KernelError({
      rule: 'relocationsStripped',
      status: 'STATUS_CONFLICTING_ADDRESSES',
      image: name,
      message: `has no relocations and cannot be loaded anywhere but at 0x${imageBase.toString(16)}`,
    });
  applyRelocations(layout, image.relocations, dllBase - imageBase);
}
