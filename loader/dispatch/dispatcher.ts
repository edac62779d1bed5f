import { type ArchitectureName, CpuError, type Exit, PAGE_SIZE, type Processor } from '../../cpu/index.js';
import { type Blocked, isBlocked, KernelError } from '../common/index.js';
import { GuestAccessViolation } from '../memory/index.js';
import { processOf } from '../processes/index.js';
import {
  callAll,
  type ExceptionDetails,
  finishThread,
  type GuestProcedure,
  isProcedure,
  processorOf,
  resumeProcedure,
  type ServiceResult,
  startProcedure,
  type Thread,
  takeLastCalls,
} from '../threads/index.js';
import { emulateRegisterRead } from './arm64-system-registers.js';
import { complete } from './complete.js';
import { crashOf } from './crash.js';
import { EXCEPTION_CODES, exceptionOf } from './exceptions/codes.js';
import { isHandlerInSight, raise, raiseInCaller } from './exceptions/raise.js';
import { endUnhandled, isFatalFault } from './exceptions/unhandled.js';
import { endFailedFast } from './fail-fast.js';
import type { ServiceCall } from './service-call.js';
import type { ServiceOwner } from './service-owner.js';
import { calleePops, type PlacedExport, type SimulatedExport } from './simulated-export.js';

/** Decides what becomes of a thread whose processor left the guest. */
export function dispatchExit(kernel: ServiceOwner, thread: Thread, processor: Processor, exit: Exit): void {
  try {
    handle(kernel, thread, processor, exit);
  } catch (error) {
    if (!(error instanceof GuestAccessViolation)) throw error;
    endUnreadable(kernel, thread, error);
  }
}

/** Not even what an exception needs can be read or written, such as the stack: nothing can be told to the guest. */
function endUnreadable(
  kernel: ServiceOwner,
  thread: Thread,
  { access, address, cause }: GuestAccessViolation,
): void {
  const text = `access violation: ${access} of ${thread.describe(address)} (${cause}) for the thread at ${thread.describe(thread.pc)}`;
  const fault = { address, access, cause, instruction: thread.pc, processor: thread.processor?.index ?? 0 };
  endUnhandled(
    kernel,
    thread,
    { exit: { instructions: 0, reason: 'fault', fault }, fault, text },
    {
      code: EXCEPTION_CODES.STATUS_ACCESS_VIOLATION,
      flags: 0,
      address: thread.pc,
      parameters: [access === 'write' ? 1n : 0n, address],
    },
  );
}

function handle(kernel: ServiceOwner, thread: Thread, processor: Processor, exit: Exit): void {
  if (exit.reason === 'returned') {
    if (thread.callouts.length > 0) {
      resumeProcedure(kernel.scheduler, thread, thread.architecture.result(processor));
      return;
    }
    const result = thread.architecture.result(processor);
    const floatResult = thread.architecture.floatResult(processor);
    const calls = takeLastCalls(thread);
    if (calls.length === 0) finishThread(thread, result, floatResult);
    else
      startProcedure(kernel.scheduler, thread, callAll(calls), () =>
        finishThread(thread, result, floatResult),
      );
    return;
  }
  const service = exit.reason === 'serviceCall' ? kernel.exportAt(thread.domain, exit.address) : undefined;
  if (service !== undefined) serveExport(kernel, thread, processor, service);
  else if (exit.reason === 'systemCall' && thread.domain.kind === 'user')
    serveSystemCall(kernel, thread, processor, exit);
  else if (!(isInvalidOpcode(exit) && EMULATED[thread.architecture.name](thread, processor)))
    handleException(kernel, thread, processor, exit);
}

/** What Windows does in the place of an instruction that the processor refuses in user mode. */
const EMULATED: Readonly<Record<ArchitectureName, typeof emulateRegisterRead>> = {
  x64: () => false,
  x86: () => false,
  arm64: emulateRegisterRead,
};

const isInvalidOpcode = (exit: Exit): boolean => exit.reason === 'exception' && exit.name === 'invalidOpcode';

function handleException(kernel: ServiceOwner, thread: Thread, processor: Processor, exit: Exit): void {
  const exception = exceptionAt(thread, exit, processor.pc);
  if (exception === 'stackHasGrown') return;
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
  startProcedure(kernel.scheduler, thread, procedure, () => {});
}

/** The exception of an exit, with what a touch of a guard page does: a stack grows, any other guard is taken away. */
function exceptionAt(thread: Thread, exit: Exit, pc: bigint): ExceptionDetails | 'stackHasGrown' | undefined {
  const exception = exceptionOf(exit, pc, thread.architecture.pointerSize);
  if (exit.reason !== 'fault' || exit.fault.cause !== 'guard' || exception === undefined) return exception;
  const { address } = exit.fault;
  if (!thread.stack.contains(address)) clearGuard(thread, address);
  else if (thread.stack.isBelowLimit(address) && thread.stack.touchGuard()) return 'stackHasGrown';
  else return { ...exception, code: EXCEPTION_CODES.STATUS_STACK_OVERFLOW, parameters: [] };
  return exception;
}

/** The first access to a guard page takes the guard away (winnt.h, PAGE_GUARD). */
function clearGuard(thread: Thread, address: bigint): void {
  const page = address - (address % BigInt(PAGE_SIZE));
  const { protection } = thread.addressSpace.query(page);
  if (protection !== undefined) thread.addressSpace.table(page).protect(page, 1, protection);
}

function serveExport(
  kernel: ServiceOwner,
  thread: Thread,
  processor: Processor,
  { entry }: PlacedExport,
): void {
  const { architecture } = thread;
  const call = serviceCall(kernel, thread, processor, (index) => asOfFunction(thread, processor, index));
  if (architecture.returnAddressSize !== 0)
    thread.memory.probe(processor.sp, architecture.returnAddressSize, 'read');
  const pops = { calleePops: calleePops(entry, call.thread.architecture) };
  complete(call, serveOrRaise(call, entry), (on) => architecture.returnFromCall(on, pops));
}

function serviceCall(
  kernel: ServiceOwner,
  thread: Thread,
  processor: Processor,
  argument: ServiceCall['argument'],
): ServiceCall {
  const { domain, memory, architecture } = thread;
  const process = processOf(thread);
  return {
    kernel,
    domain,
    process,
    thread,
    processor,
    memory,
    pointerSize: architecture.pointerSize,
    argument,
    floatArgument: (index, size) => floatArgument(thread, processor, index, size),
  };
}

/** Arguments behind the register ones lie in the guest's stack. */
function floatArgument(
  thread: Thread,
  processor: Processor,
  index: number,
  size: 'single' | 'double',
): number {
  const { architecture, memory } = thread;
  const onStack = architecture.stackArgument(processor, index);
  if (onStack === undefined) return architecture.floatArgument(processor, index, size);
  return size === 'single' ? memory.readF32(onStack) : memory.readF64(onStack);
}

/** Serves a call. What an export cannot do with an address that it was given becomes its caller's fault, now or later. */
function serveOrRaise(call: ServiceCall, entry: SimulatedExport): ServiceResult {
  try {
    const result = entry.serve(call);
    if (isProcedure(result)) return guarded(call, entry, result);
    if (!isBlocked(result)) return result;
    return result.ready() ?? guardedWait(call, entry, result);
  } catch (error) {
    return raiseFault(call, entry, violationOf(call, entry, error));
  }
}

function* guarded(call: ServiceCall, entry: SimulatedExport, procedure: GuestProcedure): GuestProcedure {
  const { thread } = call;
  try {
    const result = yield* procedure;
    if (isBlocked(result)) return result.ready() ?? guardedWait(call, entry, result);
    return result;
  } catch (error) {
    const violation = violationOf(call, entry, error);
    const context = thread.callouts.at(-1)?.context;
    if (context !== undefined) processorOf(thread).loadContext(context);
    return yield* raiseFault(call, entry, violation);
  }
}

/** What it waits for can become unreadable while it waits: no handler sees that (modelled). */
function guardedWait(call: ServiceCall, entry: SimulatedExport, wait: Blocked): Blocked {
  const ready = () => {
    try {
      return wait.ready();
    } catch (error) {
      const { thread } = call;
      const { access, address, cause } = violationOf(call, entry, error);
      const text = `access violation: ${access} of ${thread.describe(address)} (${cause}) by ${entry.name}, in which it waits`;
      const parameters = [access === 'write' ? 1n : 0n, address];
      const code = EXCEPTION_CODES.STATUS_ACCESS_VIOLATION;
      endUnhandled(call.kernel, thread, { text }, { code, flags: 0, address: thread.pc, parameters });
      return 0n;
    }
  };
  return { ...wait, ready };
}

/** The guest's mistake that an error of an export stands for. @throws a typed error for everything else */
function violationOf(call: ServiceCall, entry: SimulatedExport, error: unknown): GuestAccessViolation {
  if (error instanceof GuestAccessViolation) return error;
  if (error instanceof CpuError || error instanceof RangeError || error instanceof TypeError) {
    const { thread, processor } = call;
    const caller = describeCaller(thread, processor);
    const isMemory = error instanceof CpuError && error.status?.name === 'STATUS_NO_MEMORY';
    throw new KernelError({
      rule: isMemory ? 'outOfPhysicalMemory' : 'exportFailed',
      status: isMemory ? 'STATUS_NO_MEMORY' : 'STATUS_UNSUCCESSFUL',
      place: caller,
      message: `${entry.name}, called from ${caller}, could not be served: ${error.message}`,
      hint: isMemory ? 'give the machine more memory: memorySize' : undefined,
      cause: error,
    });
  }
  throw error;
}

function describeCaller(thread: Thread, processor: Processor): string {
  try {
    return thread.describe(thread.architecture.returnAddressAtEntry(processor));
  } catch {
    return 'an unknown place (the stack is unreadable)';
  }
}

/** An access that an export was refused is a fault of the code that called it, with all that follows from one. */
function raiseFault(
  call: ServiceCall,
  entry: SimulatedExport,
  violation: GuestAccessViolation,
): GuestProcedure {
  const { kernel, thread, processor } = call;
  const { access, address, cause } = violation;
  const text = `access violation: ${access} of ${thread.describe(address)} by ${entry.name}, called from ${describeCaller(thread, processor)}`;
  const instruction = thread.architecture.returnAddressAtEntry(processorOf(thread));
  const fault = { address, access, cause, instruction, processor: processor.index };
  const exit = { instructions: 0, reason: 'fault', fault } as const;
  const found = exceptionAt(thread, exit, instruction);
  const code = typeof found === 'object' ? found.code : EXCEPTION_CODES.STATUS_ACCESS_VIOLATION;
  const parameters = typeof found === 'object' ? found.parameters : [];
  return raiseInCaller(
    call,
    { code, flags: 0, parameters },
    {
      calleePops: calleePops(entry, call.thread.architecture),
      isFatal: isFatalFault(thread, exit),
      unhandled: (_kernel, crashed, last) => endUnhandled(kernel, crashed, { exit, fault, text }, last),
    },
  );
}

const asOfFunction = (thread: Thread, processor: Processor, index: number): bigint => {
  const { architecture } = thread;
  const onStack = architecture.stackArgument(processor, index);
  return onStack === undefined ? architecture.argument(processor, index) : thread.memory.readPointer(onStack);
};

/** Where the stubs of ntdll leave argument `index` of a system service. */
const SYSTEM_CALL_ARGUMENT: Readonly<Record<ArchitectureName, typeof asOfFunction>> = {
  x64: (thread, processor, index) =>
    index === 0 ? processor.get('r10') : asOfFunction(thread, processor, index),
  x86: (thread, processor, index) => BigInt(thread.memory.readU32(processor.get('edx') + BigInt(4 * index))),
  arm64: asOfFunction,
};

/** A system service called by its instruction: number in eax (or the immediate of svc). */
function serveSystemCall(
  kernel: ServiceOwner,
  thread: Thread,
  processor: Processor,
  exit: Exit & { reason: 'systemCall' },
): void {
  const argument = SYSTEM_CALL_ARGUMENT[thread.architecture.name];
  const call = serviceCall(kernel, thread, processor, (index) => argument(thread, processor, index));
  complete(call, kernel.systemServices.dispatch(exit.number, call), () => {});
}
