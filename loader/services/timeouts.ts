import type { ServiceCall } from '../dispatch/index.js';

/**
 * LARGE_INTEGER timeouts: negative is relative, in units of 100 ns, for each of which one instruction stands (modelled);
 * a null pointer waits for ever.
 */
export function deadlineOf({ kernel, thread }: ServiceCall, timeout: bigint): bigint | undefined {
  if (timeout === 0n) return undefined;
  const value = BigInt.asIntN(64, thread.memory.readU64(timeout));
  return value <= 0n ? kernel.scheduler.time - value : value;
}
