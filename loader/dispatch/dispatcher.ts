import { type Exit, PAGE_SIZE, type Processor } from '../../cpu/index.js';
import { isBlocked } from '../common/wait.js';
import type { PlacedExport } from '../exports/export-table.js';
import {
  CONTEXT_SET,
  calleePops,
  type ServiceCall,
  type ServiceResult,
  type SimulatedExport,
} from '../exports/simulated-export.js';
import type { Kernel } from '../kernel.js';
import { accessViolationOf } from '../memory/user-memory-access.js';
import { isProcedure, resumeProcedure, startProcedure } from '../threads/guest-call.js';
import type { Thread } from '../threads/thread.js';
import { emulateRegisterRead } from './arm64-system-registers.js';
import { crashOf } from './crash.js';
import { EXCEPTION_CODES, exceptionOf } from './exceptions/codes.js';
import { isHandlerInSight, raise, raiseInCaller } from './exceptions/raise.js';
import { endUnhandled, isFatalFault } from './exceptions/unhandled.js';
import { endFailedFast } from './fail-fast.js';

/** Decides what becomes of a thread whose processor left the guest. */
export function handleExit(kernel: Kernel, thread: Thread, processor: Processor, exit: Exit): void {
  if (exit.reason === 'returned') {
    if (thread.callouts.length > 0) {
      resumeProcedure(kernel, thread, thread.architecture.result(processor));
      return;
    }
    thread.returnValue = thread.architecture.result(processor);
    thread.state = 'terminated';
    return;
  }
  const service = exit.reason === 'serviceCall' ? thread.domain.services.at(exit.address) : undefined;
  if (service !== undefined) serveExport(kernel, thread, processor, service);
  else if (exit.reason === 'systemCall' && thread.domain.kind === 'user')
    serveSystemCall(kernel, thread, processor, exit);
  else if (!(isInvalidOpcode(exit) && emulateRegisterRead(thread, processor)))
    handleException(kernel, thread, processor, exit);
}

const isInvalidOpcode = (exit: Exit): boolean => exit.reason === 'exception' && exit.name === 'invalidOpcode';

function handleException(kernel: Kernel, thread: Thread, processor: Processor, exit: Exit): void {
  const { pointerSize } = thread.architecture;
  const guard = exit.reason === 'fault' && exit.fault.cause === 'guard' ? exit.fault.address : undefined;
  let exception = exceptionOf(exit, processor.pc, pointerSize);
  if (guard !== undefined && exception !== undefined) {
    if (!thread.stack.isBelowLimit(guard)) clearGuard(thread, guard);
    else if (thread.stack.touchGuard()) return;
    else exception = { ...exception, code: EXCEPTION_CODES.STATUS_STACK_OVERFLOW, parameters: [] };
  }
  const crash = crashOf(thread, processor, exit);
  if (exception === undefined) {
    endFailedFast(kernel, thread, crash);
    return;
  }
  if (isFatalFault(thread, exit) || !isHandlerInSight(thread)) {
    endUnhandled(kernel, thread, crash, exception);
    return;
  }
  const procedure = raise(thread, exception, (_processor, last) => endUnhandled(kernel, thread, crash, last));
  startProcedure(kernel, thread, procedure, () => {});
}

/** The first access to a guard page takes the guard away (winnt.h, PAGE_GUARD). */
function clearGuard(thread: Thread, address: bigint): void {
  const page = address - (address % BigInt(PAGE_SIZE));
  const { protection } = thread.addressSpace.query(page);
  if (protection !== undefined) thread.addressSpace.table(page).protect(page, 1, protection);
}

function serveExport(kernel: Kernel, thread: Thread, processor: Processor, { entry }: PlacedExport): void {
  const { architecture } = thread;
  const call: ServiceCall = {
    kernel,
    domain: thread.domain,
    process: thread.process,
    thread,
    processor,
    pointerSize: architecture.pointerSize,
    argument: (index) => architecture.argument(processor, index),
  };
  const result = serveOrRaise(call, entry);
  kernel.scheduler.putBack(thread, processor);
  if (result === CONTEXT_SET || thread.finished) return;
  const leave = (on: Processor): void =>
    architecture.returnFromCall(on, { calleePops: calleePops(entry, architecture.pointerSize) });
  complete(kernel, thread, processor, result, leave);
}

/** What an export cannot do with an address that it was given is an access violation of its caller. */
function serveOrRaise(call: ServiceCall, entry: SimulatedExport): ServiceResult {
  try {
    return entry.serve(call);
  } catch (error) {
    const violation = accessViolationOf(call, error);
    if (violation === undefined) throw error;
    const { access, address } = violation;
    const parameters = [access === 'write' ? 1n : 0n, address];
    const { thread } = call;
    const caller = thread.describe(thread.architecture.returnAddressAtEntry(call.processor));
    const text = `access violation: ${access} of ${thread.describe(address)} by ${entry.name}, called from ${caller}`;
    return raiseInCaller(
      call,
      { code: EXCEPTION_CODES.STATUS_ACCESS_VIOLATION, flags: 0, parameters },
      {
        calleePops: calleePops(entry, call.pointerSize),
        unhandled: (kernel, crashed, last) => endUnhandled(kernel, crashed, { text }, last),
      },
    );
  }
}

/**
 * A system service called by its instruction: number in eax (or the immediate of svc), arguments as the stubs of ntdll
 * leave them: r10, rdx, r8, r9 and the stack; x0 to x7; on x86 behind the address in edx.
 */
function serveSystemCall(
  kernel: Kernel,
  thread: Thread,
  processor: Processor,
  exit: Exit & { reason: 'systemCall' },
): void {
  const { architecture } = thread;
  const argument = (index: number): bigint => {
    if (architecture.name === 'x64' && index === 0) return processor.get('r10');
    if (architecture.name === 'x86')
      return BigInt(thread.addressSpace.readU32(processor.get('edx') + BigInt(4 * index)));
    return architecture.argument(processor, index);
  };
  const call: ServiceCall = {
    kernel,
    domain: thread.domain,
    process: thread.process,
    thread,
    processor,
    pointerSize: architecture.pointerSize,
    argument,
  };
  const result = kernel.systemServices.dispatch(exit.number, call);
  kernel.scheduler.putBack(thread, processor);
  if (result !== CONTEXT_SET && !thread.finished) complete(kernel, thread, processor, result, () => {});
}

type Leave = (processor: Processor) => void;

/** Goes on with what a handler returned: a procedure first calls the guest, and comes back here with its result. */
function complete(
  kernel: Kernel,
  thread: Thread,
  processor: Processor,
  result: ServiceResult,
  leave: Leave,
): void {
  if (!isProcedure(result)) finish(thread, processor, result, leave);
  else startProcedure(kernel, thread, result, (on, last) => finish(thread, on, last, leave));
}

/** Sets the result and returns to the caller; a thread that waits gets its result when it is woken. */
function finish(thread: Thread, processor: Processor, result: ServiceResult, leave: Leave): void {
  leave(processor);
  if (isBlocked(result)) {
    const now = result.ready();
    if (now === undefined) {
      thread.state = 'waiting';
      thread.wait = result;
      return;
    }
    thread.architecture.setResult(processor, now);
    return;
  }
  if (typeof result === 'bigint' || typeof result === 'number')
    thread.architecture.setResult(processor, BigInt(result));
}
