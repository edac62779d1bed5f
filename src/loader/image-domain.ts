import { type AddressSpace, type Machine, PAGE_SIZE, type PageTable } from '../cpu/index.js';
import { KernelError } from './error.js';
import type { ImageWriter } from './image-writer.js';
import type { DomainLayout } from './layout.js';
import type { LoadedImage } from './loaded-image.js';

type Region = 'images' | 'services' | 'pool' | 'stacks';

/** Images begin at multiples of this, as MEM_IMAGE views do. */
const ALLOCATION_GRANULARITY = 0x10000;

/** One place that images are loaded into, with its list of them: the kernel (PsLoadedModuleList), or a process (PEB.Ldr). */
export class ImageDomain {
  readonly images: LoadedImage[] = [];
  readonly #next: Record<Region, bigint>;

  constructor(
    readonly name: string,
    readonly machine: Machine,
    readonly addressSpace: AddressSpace,
    readonly table: PageTable,
    readonly layout: DomainLayout,
    /** How the engine changes the images of this domain. */
    readonly writer: ImageWriter,
  ) {
    this.#next = {
      images: layout.images,
      services: layout.services,
      pool: layout.pool,
      stacks: layout.stacks,
    };
  }

  /** Address space that nothing uses yet; never handed out twice, so that a stale pointer faults. */
  allocate(region: Region, size: number): bigint {
    const address = this.#next[region];
    const granules = Math.ceil(size / ALLOCATION_GRANULARITY);
    this.#next[region] = address + BigInt(granules * ALLOCATION_GRANULARITY);
    if (this.#next[region] > this.layout.end)
      throw new KernelError({
        rule: 'addressSpaceExhausted',
        status: 'STATUS_NO_MEMORY',
        message: `${this.name} has no room for 0x${size.toString(16)} bytes in ${region}`,
      });
    return address;
  }

  /** Commits zeroed memory for the guest to use; returns its address. */
  allocateMemory(region: 'pool' | 'stacks', size: number): bigint {
    const address = this.allocate(region, size);
    this.table.commit(address, Math.max(1, Math.ceil(size / PAGE_SIZE)), 'PAGE_READWRITE', {
      demandZero: true,
    });
    return address;
  }

  freeMemory(address: bigint, size: number): void {
    this.table.release(address, Math.max(1, Math.ceil(size / PAGE_SIZE)));
  }

  /** By file name, in any case, with or without its extension. */
  findImage(name: string): LoadedImage | undefined {
    const wanted = name.toLowerCase();
    return this.images.find((image) => image.baseDllName.toLowerCase() === wanted) ?? this.#findStem(wanted);
  }

  #findStem(wanted: string): LoadedImage | undefined {
    return this.images.find((image) => image.moduleName.toLowerCase() === wanted);
  }

  imageAt(address: bigint): LoadedImage | undefined {
    return this.images.find((image) => image.contains(address));
  }
}
