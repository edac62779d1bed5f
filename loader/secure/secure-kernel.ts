import type { AddressSpace, Architecture, Machine } from '../../cpu/index.js';
import type { PeImage } from '../../image/index.js';
import { asInt } from '../common/index.js';
import {
  assertLoading,
  ControlFlowGuard,
  type DomainFittings,
  type ExportSource,
  type GuestPlace,
  ImageDomain,
  type ImageLoader,
  type LoadedImage,
  type LoadOptions,
} from '../images/index.js';
import { MemoryArea, SECURE_SPACE, SecureImageWriter } from '../memory/index.js';

/** NT, as far as the Secure Kernel needs it. */
export interface SecureKernelOwner {
  readonly machine: Machine;
  readonly architecture: Architecture;
  readonly fittings: DomainFittings;
  /** What images of VTL1 can import. */
  readonly services: ExportSource;
  readonly loader: Pick<ImageLoader, 'load'>;
  /** Calls a function on a thread of its own, alone, and gives its whole result register. */
  call64(address: bigint, parameters: readonly (bigint | number)[], place: GuestPlace): bigint;
}

/**
 * Virtual trust level 1: the Secure Kernel, its modules and the hypervisor. NT neither lists nor sees them: their
 * addresses are in no VTL0 address space, and the second level refuses VTL0 every access to their pages.
 */
export class SecureKernel {
  /** VTL1's images. */
  readonly domain: ImageDomain;
  readonly #kernel: SecureKernelOwner;

  constructor(kernel: SecureKernelOwner) {
    this.#kernel = kernel;
    const { machine, services } = kernel;
    const { region, writer } = kernel.fittings;
    const table = machine.createPageTable({ ...SECURE_SPACE.range, name: 'vtl1' });
    const addressSpace = machine.createAddressSpace('vtl1', [table]);
    services.attach(table);
    this.domain = new ImageDomain({
      kind: 'secure',
      name: 'vtl1',
      machine,
      architecture: kernel.architecture,
      addressSpace,
      table,
      imageRegion: region('VTL1 images', SECURE_SPACE.images),
      stacks: new MemoryArea(table, region('VTL1 stacks', SECURE_SPACE.stacks)),
      pool: new MemoryArea(table, region('VTL1 pool', SECURE_SPACE.pool)),
      services,
      writer: writer(new SecureImageWriter(machine, addressSpace), { name: 'vtl1', kind: 'secure' }),
      guard: new ControlFlowGuard(addressSpace, false),
    });
  }

  /** What code of VTL1 sees. */
  get addressSpace(): AddressSpace {
    return this.domain.addressSpace;
  }

  /** What NT must not see. */
  get images(): readonly LoadedImage[] {
    return this.domain.images;
  }

  /** Loads the Secure Kernel itself, one of its modules, or the hypervisor. */
  loadImage(image: PeImage, options: LoadOptions = {}): LoadedImage {
    assertLoading(image, options, 'loadImage');
    return this.#kernel.loader.load(this.domain, image, options);
  }

  /** Runs a function in VTL1 on a processor, alone, and returns its result as a C `int`. */
  call(address: bigint, parameters: readonly (bigint | number)[] = []): number {
    return asInt(this.call64(address, parameters));
  }

  /** As {@link call}, but returns the whole result register: pointers and 64-bit integers. */
  call64(address: bigint, parameters: readonly (bigint | number)[] = []): bigint {
    return this.#kernel.call64(address, parameters, { domain: this.domain });
  }
}
