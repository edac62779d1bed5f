import type { Exit } from '../../../cpu/index.js';
import {
  ATTEMPTED_WRITE_TO_READONLY_MEMORY,
  BugCheck,
  DRIVER_IRQL_NOT_LESS_OR_EQUAL,
  IRQL,
  KERNEL_SECURITY_CHECK_FAILURE,
  KMODE_EXCEPTION_NOT_HANDLED,
  PAGE_FAULT_IN_NONPAGED_AREA,
  SYSTEM_THREAD_EXCEPTION_NOT_HANDLED,
} from '../../common/index.js';
import { type Crash, changeThread, type ExceptionDetails, type Thread } from '../../threads/index.js';
import type { ServiceOwner } from '../service-owner.js';
import { exceptionName } from './codes.js';

/**
 * Nobody handled it: the thread ends as crashed, and with it the process, with the exception's code as its exit status;
 * in the kernel the system stops.
 */
export function endUnhandled(
  kernel: ServiceOwner,
  thread: Thread,
  crash: Crash,
  exception: ExceptionDetails,
): void {
  const bugCheck = thread.domain.kind === 'user' ? undefined : bugCheckOf(thread, crash, exception);
  changeThread(thread, {
    state: 'crashed',
    crash: { ...crash, exception, ...(bugCheck === undefined ? {} : { bugCheck }) },
  });
  kernel.events.emit({
    kind: 'threadCrashed',
    text: `thread ${thread.id} (${thread.name}): ${crash.text}`,
  });
  if (bugCheck !== undefined) kernel.bugChecks.stop(bugCheck);
  else thread.process.terminate(exception.code);
}

/** The story of an exception that software raised. */
export function crashOfRaise(thread: Thread, exception: ExceptionDetails): Crash {
  return { text: `${exceptionName(exception.code)} raised in ${thread.describe(exception.address)}` };
}

/**
 * A fault in the kernel that no handler ever sees: on an address of the kernel itself, or at DISPATCH_LEVEL and above,
 * where it cannot be resolved (bugcodes.h: 0x50, 0xBE, 0xD1).
 */
export function isFatalFault(thread: Thread, exit: Exit): boolean {
  if (exit.reason !== 'fault' || thread.domain.kind === 'user') return false;
  return thread.irql >= IRQL.DISPATCH_LEVEL || isKernelAddress(exit.fault.address);
}

const KERNEL_SPACE = 0xffff_8000_0000_0000n;
const isKernelAddress = (address: bigint): boolean => address >= KERNEL_SPACE;
/** First parameter behind the address of 0x50, 0xBE and 0xD1: what the access was. */
const ACCESS = { read: 0n, write: 1n, execute: 0x10n } as const;

function bugCheckOf(thread: Thread, crash: Crash, exception: ExceptionDetails): BugCheck {
  const { fault, exit } = crash;
  if (fault !== undefined && exit !== undefined && isFatalFault(thread, exit)) {
    const { address, access, cause } = fault;
    if (thread.irql >= IRQL.DISPATCH_LEVEL) {
      const parameters = [address, BigInt(thread.irql), ACCESS[access], fault.instruction];
      return new BugCheck(DRIVER_IRQL_NOT_LESS_OR_EQUAL, parameters, crash.text);
    }
    const isReadOnly = access === 'write' && (cause === 'protection' || cause === 'secondLevel');
    const code = isReadOnly ? ATTEMPTED_WRITE_TO_READONLY_MEMORY : PAGE_FAULT_IN_NONPAGED_AREA;
    return new BugCheck(code, [address, ACCESS[access], fault.instruction, 0n], crash.text);
  }
  if (exit?.reason === 'exception' && exit.name === 'fastFail')
    return new BugCheck(KERNEL_SECURITY_CHECK_FAILURE, [BigInt(exit.code ?? 0), 0n, 0n, 0n], crash.text);
  const isSystemThread = thread.process.minimal && thread.irql < IRQL.DISPATCH_LEVEL;
  const [first = 0n, second = 0n] = exception.parameters;
  return isSystemThread
    ? new BugCheck(
        SYSTEM_THREAD_EXCEPTION_NOT_HANDLED,
        [BigInt(exception.code), exception.address, 0n, 0n],
        crash.text,
      )
    : new BugCheck(
        KMODE_EXCEPTION_NOT_HANDLED,
        [BigInt(exception.code), exception.address, first, second],
        crash.text,
      );
}
