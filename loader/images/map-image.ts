import { PAGE_SIZE, type PageProtection } from '../../cpu/index.js';
import {
  applyRelocations,
  IMAGE_SCN,
  isExecutable,
  isWritable,
  type PeImage,
  type Section,
} from '../../image/index.js';
import { KernelError } from '../common/index.js';

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
