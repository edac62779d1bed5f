import { KernelError } from '../common/index.js';
import type { Thread } from './thread.js';

/**
 * The result register of a function that {@link Kernel.callThread} has called.
 * @throws KernelError `callDidNotReturn` when the thread ended inside the function instead
 */
export function resultRegister(thread: Thread): bigint {
  if (thread.returnValue !== undefined) return thread.returnValue;
  throw new KernelError({
    rule: 'callDidNotReturn',
    status: 'STATUS_UNSUCCESSFUL',
    place: thread.describe(thread.startAddress),
    message: `thread ${thread.id} has ended inside ${thread.describe(thread.startAddress)}, which has returned nothing`,
    hint: 'callThread gives the thread itself, with what became of it',
  });
}
