import { KernelError } from './error.js';

/**
 * Scenarios are run without a check of their types: a number, or nothing at all, gets as far as here.
 * @throws KernelError `address` unless it is a 64-bit address
 */
export function assertAddress(address: unknown): asserts address is bigint {
  if (typeof address === 'bigint') return;
  const given = typeof address === 'string' ? `'${address}'` : String(address);
  throw new KernelError({
    rule: 'address',
    status: 'STATUS_INVALID_PARAMETER',
    message: `${given} is no address`,
    hint: "addresses are bigints: 0x1000n, image.symbol('f'), lab.address('demo!f')",
  });
}
