import { shown } from './arguments.js';
import { KernelError } from './error.js';

const END = 1n << 64n;

/**
 * Scenarios are run without a check of their types: a number, or nothing at all, gets as far as here.
 * @throws KernelError `address` unless it is a 64-bit address
 */
export function assertAddress(address: unknown): asserts address is bigint {
  if (typeof address === 'bigint' && address >= 0n && address < END) return;
  throw new KernelError({
    rule: 'address',
    status: 'STATUS_INVALID_PARAMETER',
    message: `${shown(address)} is no address`,
    hint: "addresses are bigints of 64 bits: 0x1000n, image.symbol('f'), lab.address('demo!f')",
  });
}
