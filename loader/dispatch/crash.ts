import type { Exit, Fault, Processor } from '../../cpu/index.js';
import type { Crash, Thread } from '../threads/index.js';

/** Bytes from one simulated export to the next. */
const EXPORT_SPACING = 16n;

export function crashOf(thread: Thread, processor: Processor, exit: Exit): Crash {
  if (exit.reason === 'fault')
    return { exit, fault: exit.fault, text: describeFault(thread, processor, exit.fault) };
  const at = thread.describeCode(processor.pc);
  const detail = Object.entries(exit)
    .filter(([key]) => key !== 'reason' && key !== 'instructions')
    .map(([key, value]) => `${key} ${typeof value === 'bigint' ? `0x${value.toString(16)}` : String(value)}`)
    .join(', ');
  return { exit, text: `${exit.reason} at ${at}${detail === '' ? '' : ` (${detail})`}` };
}

function describeFault(thread: Thread, processor: Processor, fault: Fault): string {
  const missing = thread.domain.services.at(fault.address - (fault.address % EXPORT_SPACING));
  const of = missing === undefined ? '' : `, ${missing.module}!${missing.entry.name}, which nobody exports,`;
  const what = `access violation: ${fault.access} of ${thread.describe(fault.address)}${of} (${fault.cause})`;
  if (fault.access !== 'execute') return `${what} by ${thread.describeCode(fault.instruction)}`;
  return `${what}, called from ${describeCaller(thread, processor)}`;
}

/** A call or a jump led nowhere: where it would have returned to, which is what a debugger's first frame shows. */
function describeCaller(thread: Thread, processor: Processor): string {
  try {
    return thread.describeCode(thread.architecture.returnAddressAtEntry(processor), true);
  } catch {
    return 'an unknown place (the stack is unreadable)';
  }
}
