import { KernelError, type KernelRule } from '../loader/index.js';

/** What cannot be explored, or be done again as a schedule says: a mistake of whoever asked. */
export const refuse = (
  rule: Extract<KernelRule, `exploration.${string}` | `schedule.${string}`>,
  message: string,
  hint?: string,
): KernelError => new KernelError({ rule, status: 'STATUS_INVALID_PARAMETER', message, hint });
