import { PAGE_SIZE, type PageProtection } from '../cpu/index.js';
import { applyRelocations, isExecutable, isWritable, type PeImage, type Section } from '../image/index.js';
import { KernelError } from './error.js';
import type { ImageDomain } from './image-domain.js';

export const pages = (bytes: number): number => Math.ceil(bytes / PAGE_SIZE);

interface View {
  readonly rva: number;
  readonly pages: number;
  readonly protection: PageProtection;
}

/** Which protection each page of an image gets; refuses what memory integrity would refuse. */
export function imageViews(image: PeImage, name: string): View[] {
  const views: View[] = [
    { rva: 0, pages: pages(image.optionalHeader.sizeOfHeaders), protection: 'PAGE_READONLY' },
  ];
  for (const section of image.sections) {
    const size = section.virtualSize === 0 ? section.sizeOfRawData : section.virtualSize;
    if (size === 0) continue;
    views.push({ rva: section.virtualAddress, pages: pages(size), protection: protectionOf(section, name) });
  }
  return views;
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
  return (section.characteristics & IMAGE_SCN_MEM_READ) !== 0 ? 'PAGE_READONLY' : 'PAGE_NOACCESS';
}

/** Applies the base relocations to the laid-out image in place, for an image that is loaded at `dllBase`. */
export function relocate(layout: Uint8Array, image: PeImage, dllBase: bigint, name: string): void {
  const { imageBase } = image.optionalHeader;
  if (dllBase === imageBase) return;
  if ((image.fileHeader.characteristics & IMAGE_FILE_RELOCS_STRIPPED) !== 0)
    throw new KernelError({
      rule: 'relocationsStripped',
      status: 'STATUS_CONFLICTING_ADDRESSES',
      image: name,
      message: `has no relocations and cannot be loaded anywhere but at 0x${imageBase.toString(16)}`,
    });
  applyRelocations(layout, image.relocations, dllBase - imageBase);
}

/** winnt.h */
const IMAGE_SCN_MEM_READ = 0x40000000;
const IMAGE_FILE_RELOCS_STRIPPED = 0x0001;

/** Puts the image's bytes and protections into the domain at `dllBase`. Undone by {@link unmapImage}. */
export function mapImage(
  domain: ImageDomain,
  layout: Uint8Array,
  views: readonly View[],
  dllBase: bigint,
): void {
  const { table, addressSpace } = domain;
  table.reserve(dllBase, pages(layout.length));
  for (const view of views) {
    const address = dllBase + BigInt(view.rva);
    table.commit(address, view.pages, 'PAGE_READWRITE');
    addressSpace.write(address, layout.subarray(view.rva, view.rva + view.pages * PAGE_SIZE));
    table.protect(address, view.pages, view.protection);
  }
}

export function unmapImage(domain: ImageDomain, dllBase: bigint, sizeOfImage: number): void {
  domain.table.release(dllBase, pages(sizeOfImage));
}
