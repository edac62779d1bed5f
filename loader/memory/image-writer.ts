import type { AddressSpace, CodeWriter, Machine } from '../../cpu/index.js';
import { KernelError } from '../common/index.js';

/**
 * Who changes the images of a domain, and how. No guest-visible mapping is ever writable and executable at once: code is
 * changed from another world (VTL1) or through an alias, and read-only data through an alias as well.
 */
export interface ImageWriter {
  /** Who stores into code pages: `SecureKernel` for kernel and secure images, `NT` for user images. */
  readonly codeWriter: 'SecureKernel' | 'NT';
  /** Who stores into data pages. */
  readonly dataWriter: 'SecureKernel' | 'NT';
  /** One store into executable memory. A page that other address spaces share becomes private first. */
  writeCode(address: bigint, bytes: Uint8Array): void;
  /** The same where NT itself changes kernel code, as it could before there was a Secure Kernel. */
  writeCodeAsKernel(address: bigint, bytes: Uint8Array): void;
  /** One store into data, also into pages that the guest may only read. */
  writeData(address: bigint, bytes: Uint8Array): void;
  /** Tells `listener` of each store before it is made; what it throws is what the store fails with. */
  beforeStore(listener: (store: ImageStore) => void): Disposable;
}

export interface ImageStore {
  readonly into: 'code' | 'data';
  readonly address: bigint;
  readonly bytes: Uint8Array;
}

abstract class SpaceWriter implements ImageWriter {
  abstract readonly codeWriter: 'SecureKernel' | 'NT';
  abstract readonly dataWriter: 'SecureKernel' | 'NT';
  protected abstract readonly storesAs: CodeWriter;
  readonly #listeners = new Set<(store: ImageStore) => void>();

  constructor(
    protected readonly machine: Machine,
    protected readonly space: AddressSpace,
  ) {}

  writeCode(address: bigint, bytes: Uint8Array): void {
    this.writeCodeAsKernel(address, bytes);
  }

  writeCodeAsKernel(address: bigint, bytes: Uint8Array): void {
    this.#tell({ into: 'code', address, bytes });
    this.machine.writeCode(this.space, address, bytes, { writer: this.storesAs });
  }

  writeData(address: bigint, bytes: Uint8Array): void {
    this.#tell({ into: 'data', address, bytes });
    this.space.write(address, bytes);
  }

  beforeStore(listener: (store: ImageStore) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  #tell(store: ImageStore): void {
    for (const listener of [...this.#listeners]) listener(store);
  }
}

/**
 * Kernel and session images: with virtualization-based security no mapping of their code is writable for VTL0, so the
 * Secure Kernel stores the code and NT the data (docs/fidelity.md#the-system-around-it).
 */
export class KernelImageWriter extends SpaceWriter {
  readonly codeWriter = 'SecureKernel';
  readonly dataWriter = 'NT';
  protected readonly storesAs = 'vtl1';

  constructor(
    machine: Machine,
    space: AddressSpace,
    private readonly secureKernelRuns: boolean,
  ) {
    super(machine, space);
  }

  override writeCode(address: bigint, bytes: Uint8Array): void {
    if (!this.secureKernelRuns)
      throw new KernelError({
        rule: 'secureKernelNotRunning',
        status: 'STATUS_NOT_SUPPORTED',
        place: `0x${address.toString(16)}`,
        message: 'the Secure Kernel is not running, so nothing may change kernel code',
      });
    super.writeCode(address, bytes);
  }
}

/**
 * Images of a process: NT stores through a writable alias of the page in system space (docs/fidelity.md#application).
 * The page is privatised by copy-on-write first; the process never sees it writable.
 */
export class UserImageWriter extends SpaceWriter {
  readonly codeWriter = 'NT';
  readonly dataWriter = 'NT';
  protected readonly storesAs = 'alias';
}

/** Images of VTL1: NT can neither see nor change them. */
export class SecureImageWriter extends SpaceWriter {
  readonly codeWriter = 'SecureKernel';
  readonly dataWriter = 'SecureKernel';
  protected readonly storesAs = 'vtl1';
}
