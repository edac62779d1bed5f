import { createHash } from 'node:crypto';
import { type Machine, PAGE_SIZE, type PageTable } from '../../cpu/index.js';
import type { PeImage } from '../../image/index.js';
import { imageViews, pages, relocate, type View } from './map-image.js';

/** How far behind its base an image with 2 MB pages ends. */
const LARGE_PAGE = 0x20_0000;

export interface ImagePlacement {
  readonly dllBase: bigint;
  /** Distance from the image's base to its HPAT: page-rounded SizeOfImage; with large pages rounded up to 2 MB. */
  readonly hpatOffset: number;
}

export function hpatOffset(image: PeImage, largePages: boolean): number {
  const { sizeOfImage } = image.optionalHeader;
  const unit = largePages ? LARGE_PAGE : PAGE_SIZE;
  return Math.ceil(sizeOfImage / unit) * unit;
}

export const LARGE_PAGE_ALIGNMENT = BigInt(LARGE_PAGE);

/**
 * An image section: the file, laid out and relocated once for one address. Its prototype pages are shared by every view;
 * a view that writes gets its own copy of the page.
 */
export class ImageSection {
  readonly views: readonly View[];
  /** SizeOfImage bytes as they are mapped: relocated, without imports. */
  readonly layout: Uint8Array;
  readonly #frames = new Map<number, number>();
  #openViews = 0;

  constructor(
    private readonly machine: Machine,
    readonly image: PeImage,
    readonly name: string,
    readonly dllBase: bigint,
    /** Rewrites the relocated image before it is mapped (retpoline). */
    finish?: (layout: Uint8Array) => void,
  ) {
    this.views = imageViews(image, name);
    this.layout = image.layOut();
    relocate(this.layout, image, dllBase, name);
    finish?.(this.layout);
  }

  get openViews(): number {
    return this.#openViews;
  }

  /** Physical pages that the prototypes hold now. */
  get prototypePages(): number {
    return this.#frames.size;
  }

  /**
   * Maps the section into a page table at its address.
   * @param sharing `private`: nobody else will map it. `copyOnWrite`: pages are shared until somebody writes.
   */
  map(table: PageTable, sharing: 'private' | 'copyOnWrite'): void {
    table.reserve(this.dllBase, pages(this.layout.length));
    this.#openViews += 1;
    for (const view of this.views) this.#mapView(table, view, sharing === 'copyOnWrite');
    if (sharing === 'private') this.#dropPrototypes();
  }

  /** Takes a view away, whole or half mapped. The prototypes go with the last one; the address stays this section's. */
  unmap(table: PageTable): void {
    table.release(this.dllBase, pages(this.layout.length));
    this.#openViews -= 1;
    if (this.#openViews === 0) this.#dropPrototypes();
  }

  #mapView(table: PageTable, view: View, copyOnWrite: boolean): void {
    const address = this.dllBase + BigInt(view.rva);
    const isShared = copyOnWrite && !view.shared;
    const protection = isShared && view.writable ? 'PAGE_WRITECOPY' : view.protection;
    // Writable pages without file contents are private from the start; read-only ones can share a zero page.
    const backed = view.writable && !view.shared ? view.pagesOfFile : view.pages;
    if (backed > 0) {
      const frames = Array.from({ length: backed }, (_, i) => this.#frame(view.rva / PAGE_SIZE + i));
      table.commit(address, backed, protection, { frames, copyOnWrite: isShared });
    }
    if (backed < view.pages)
      table.commit(address + BigInt(backed * PAGE_SIZE), view.pages - backed, protection, {
        demandZero: true,
      });
  }

  #frame(page: number): number {
    const known = this.#frames.get(page);
    if (known !== undefined) return known;
    const { memory } = this.machine;
    const frame = memory.allocate();
    this.#frames.set(page, frame);
    memory.write(frame, 0, this.layout.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE));
    return frame;
  }

  #dropPrototypes(): void {
    for (const frame of this.#frames.values()) this.machine.memory.release(frame);
    this.#frames.clear();
  }
}

/** Every image section of the system that processes or sessions can share, by contents: one for each file. */
export class ImageSections {
  readonly #sections = new Map<string, ImageSection>();
  readonly #hashes = new WeakMap<PeImage, string>();

  /** The section of this file in one world (`user64`, `user32`, `session`); `create` makes it when it is the first. */
  open(world: string, image: PeImage, name: string, create: () => ImageSection): ImageSection {
    const key = `${world} ${name.toLowerCase()} ${this.#hash(image)}`;
    const known = this.#sections.get(key);
    if (known !== undefined) return known;
    const section = create();
    this.#sections.set(key, section);
    return section;
  }

  /** Forgets a section that nobody maps, so that it gets another address next time. */
  forget(section: ImageSection): void {
    for (const [key, known] of this.#sections) if (known === section) this.#sections.delete(key);
  }

  [Symbol.iterator](): IterableIterator<ImageSection> {
    return this.#sections.values();
  }

  #hash(image: PeImage): string {
    const known = this.#hashes.get(image);
    if (known !== undefined) return known;
    const hash = createHash('sha256').update(image.bytes).digest('hex');
    this.#hashes.set(image, hash);
    return hash;
  }
}
