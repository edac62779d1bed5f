import type { ServiceCall } from './simulated-export.js';

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
  thread.state = 'crashed';
  let caller = 'an unknown place';
  try {
    caller = thread.describe(thread.architecture.returnAddressAtEntry(processor));
  } catch {
    // The stack is unreadable; the reason says enough.
  }
  const text = `${fastFailName(code)}: ${reason}; called from ${caller}`;
  thread.crash = {
    exit: {
      instructions: 0,
      reason: 'exception',
      name: 'fastFail',
      vector: FAST_FAIL_VECTOR,
      instruction: processor.pc,
      code,
    },
    text,
  };
  kernel.events.emit({ kind: 'threadCrashed', text: `thread ${thread.id} (${thread.name}): ${text}` });
}
