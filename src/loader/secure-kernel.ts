import type { AddressSpace, Machine } from '../cpu/index.js';
import { KernelError } from './error.js';

/**
 * The Secure Kernel in VTL1, as far as NT needs it: it alone changes the code of kernel images, because with
 * virtualization-based security no mapping of them is writable for VTL0 (seed 003).
 */
export class SecureKernel {
  constructor(
    private readonly machine: Machine,
    /** Is virtualization-based security on? Without it there is no VTL1, and hotpatching is disabled. */
    readonly running: boolean,
  ) {}

  /** One store into executable memory, on behalf of NT. */
  writeCode(space: AddressSpace, address: bigint, bytes: Uint8Array): void {
    if (!this.running)
      throw new KernelError({
        rule: 'secureKernelNotRunning',
        status: 'STATUS_NOT_SUPPORTED',
        message: 'the Secure Kernel is not running, so nothing may change kernel code',
      });
    this.machine.writeCode(space, address, bytes, { writer: 'vtl1' });
  }
}
