import type { Crash, Thread } from '../threads/index.js';
import { EXCEPTION_CODES, EXCEPTION_NONCONTINUABLE } from './exceptions/codes.js';
import { endUnhandled } from './exceptions/unhandled.js';
import type { ServiceCall } from './service-call.js';
import type { ServiceOwner } from './service-owner.js';

/** Names of winnt.h. */
const FAST_FAIL_NAMES: Readonly<Record<number, string>> = {
  2: 'FAST_FAIL_STACK_COOKIE_CHECK_FAILURE',
  5: 'FAST_FAIL_INVALID_ARG',
  7: 'FAST_FAIL_FATAL_APP_EXIT',
  10: 'FAST_FAIL_GUARD_ICALL_CHECK_FAILURE',
  68: 'FAST_FAIL_PATCH_CALLBACK_FAILED',
  69: 'FAST_FAIL_NTDLL_PATCH_FAILED',
};

export function fastFailName(code: number): string {
  return FAST_FAIL_NAMES[code] ?? `fast fail code ${code}`;
}

const FAST_FAIL_VECTOR = 0x29;

/** Ends the calling thread as `__fastfail(code)` does: no handler runs. */
export function failFast({ kernel, thread, processor }: ServiceCall, code: number, reason: string): void {
  let caller = 'an unknown place';
  try {
    caller = thread.describe(thread.architecture.returnAddressAtEntry(processor));
  } catch {
    // The stack is unreadable; the reason says enough.
  }
  const text = `${fastFailName(code)}: ${reason}; called from ${caller}`;
  const exit = {
    instructions: 0,
    reason: 'exception',
    name: 'fastFail',
    vector: FAST_FAIL_VECTOR,
    instruction: processor.pc,
    code,
  } as const;
  endFailedFast(kernel, thread, { exit, text });
}

/** No handler sees a fast fail: the process ends with STATUS_STACK_BUFFER_OVERRUN, the kernel with bugcheck 0x139. */
export function endFailedFast(kernel: ServiceOwner, thread: Thread, crash: Crash): void {
  const code = crash.exit?.reason === 'exception' ? (crash.exit.code ?? 0) : 0;
  endUnhandled(kernel, thread, crash, {
    code: EXCEPTION_CODES.STATUS_STACK_BUFFER_OVERRUN,
    flags: EXCEPTION_NONCONTINUABLE,
    address: thread.pc,
    parameters: [BigInt(code)],
  });
}
