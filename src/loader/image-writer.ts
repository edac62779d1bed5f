import type { AddressSpace, Machine } from '../cpu/index.js';
import { KernelError } from './error.js';

/**
 * Who changes the images of a domain, and how. No guest-visible mapping is ever writable and executable at once: code is
 * changed from another world (VTL1) or through an alias, and read-only data through an alias as well.
 */
export interface ImageWriter {
  /** Who stores into code pages: `SecureKernel` for kernel and secure images, `NT` for user images. */
  readonly codeWriter: 'SecureKernel' | 'NT';
  readonly dataWriter: 'SecureKernel' | 'NT';
  /** One store into executable memory. */
  writeCode(address: bigint, bytes: Uint8Array): void;
  /** One store into data, also into pages that the guest may only read. */
  writeData(address: bigint, bytes: Uint8Array): void;
}

/**
 * Kernel images: with virtualization-based security no mapping of their code is writable for VTL0, so the Secure Kernel
 * stores the code and NT the data (seed 003).
 */
export class KernelImageWriter implements ImageWriter {
  readonly codeWriter = 'SecureKernel';
  readonly dataWriter = 'NT';

  constructor(
    private readonly machine: Machine,
    private readonly space: AddressSpace,
    private readonly secureKernelRuns: boolean,
  ) {}

  writeCode(address: bigint, bytes: Uint8Array): void {
    if (!this.secureKernelRuns)
      throw new KernelError({
        rule: 'secureKernelNotRunning',
        status: 'STATUS_NOT_SUPPORTED',
        message: 'the Secure Kernel is not running, so nothing may change kernel code',
      });
    this.machine.writeCode(this.space, address, bytes, { writer: 'vtl1' });
  }

  writeData(address: bigint, bytes: Uint8Array): void {
    this.space.write(address, bytes);
  }
}
