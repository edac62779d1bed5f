import {
  applyContext,
  captureContext,
  crashOfRaise,
  cSpecificHandler,
  EXCEPTION_CODES,
  EXCEPTION_NONCONTINUABLE,
  endUnhandled,
  exceptHandler3,
  exceptHandler4,
  raiseInCaller,
  readContext,
  readExceptionRecord,
  type ServiceCall,
  type ServiceOwner,
  type SimulatedExport,
  unwindByTables,
  unwindChain,
  writeContext,
  writeGuestFrame,
} from '../dispatch/index.js';
import { readPointer } from '../memory/index.js';
import { changeProcess } from '../processes/index.js';
import { CONTEXT_SET, type GuestProcedure, type Thread } from '../threads/index.js';
import { defineExport } from './simulated-export.js';

type Details = Parameters<typeof raiseInCaller>[1];

export function raising(call: ServiceCall, details: Details, parameters: number): GuestProcedure {
  return raiseInCaller(call, details, {
    calleePops: call.thread.architecture.distinguishesConventions ? call.pointerSize * parameters : 0,
    unhandled: (kernel: ServiceOwner, thread: Thread, exception) =>
      endUnhandled(kernel, thread, crashOfRaise(thread, exception), exception),
  });
}

const status = (name: string, code: number): SimulatedExport =>
  defineExport(name, [], (call) =>
    raising(call, { code, flags: EXCEPTION_NONCONTINUABLE, parameters: [] }, 0),
  );

/** RaiseException(Code, Flags, NumberOfArguments, *Arguments) of kernelbase.dll (errhandlingapi.h). */
export function raiseException(): SimulatedExport {
  return defineExport(
    'RaiseException',
    ['u32', 'u32', 'u32', 'pointer'],
    (call, code, flags, count, values) => {
      const { memory } = call;
      const given = values === 0n ? 0 : Math.min(count, 15);
      const parameters = Array.from({ length: given }, (_, index) =>
        readPointer(memory, values + BigInt(index * call.pointerSize), call.pointerSize),
      );
      return raising(call, { code, flags: flags & EXCEPTION_NONCONTINUABLE, parameters }, 4);
    },
  );
}

/** Raising, handling and unwinding of ntdll and ntoskrnl (winnt.h, wdm.h; x64 and ARM64 exception handling). */
export function exceptionExports(): SimulatedExport[] {
  return [
    defineExport('RtlRaiseException', ['pointer'], (call, record) => {
      const details = readExceptionRecord(call.memory, call.pointerSize, record);
      const { code, flags, parameters } = details;
      return raising(call, { code, flags, parameters }, 1);
    }),
    ...['RtlRaiseStatus', 'ExRaiseStatus'].map((name) =>
      defineExport(name, ['u32'], (call, code) =>
        raising(call, { code, flags: EXCEPTION_NONCONTINUABLE, parameters: [] }, 1),
      ),
    ),
    status('ExRaiseAccessViolation', EXCEPTION_CODES.STATUS_ACCESS_VIOLATION),
    status('ExRaiseDatatypeMisalignment', EXCEPTION_CODES.STATUS_DATATYPE_MISALIGNMENT),
    defineExport(
      '__C_specific_handler',
      ['pointer', 'pointer', 'pointer', 'pointer'],
      cSpecificHandler,
      'cdecl',
    ),
    defineExport('_except_handler3', ['pointer', 'pointer', 'pointer', 'pointer'], exceptHandler3, 'cdecl'),
    defineExport(
      '_except_handler4_common',
      ['pointer', 'pointer', 'pointer', 'pointer', 'pointer', 'pointer'],
      exceptHandler4,
      'cdecl',
    ),
    defineExport('RtlUnwind', ['pointer', 'pointer', 'pointer', 'pointer'], rtlUnwind),
    defineExport(
      'RtlUnwindEx',
      ['pointer', 'pointer', 'pointer', 'pointer', 'pointer', 'pointer'],
      (call, targetFrame, targetIp, record, returnValue) =>
        rtlUnwindEx(call, { targetFrame, targetIp, record, returnValue }),
    ),
    defineExport('RtlCaptureContext', ['pointer'], (call, context) => {
      const { architecture, memory } = call.thread;
      const registers = captureContext(call.processor, architecture.name);
      const returnAddress = architecture.returnAddressAtEntry(call.processor);
      registers.set(architecture.programCounter, returnAddress);
      // The caller's stack pointer, behind the return address and, on x86, the argument.
      const popped = { x64: 8n, x86: 8n, arm64: 0n }[architecture.name];
      registers.set(architecture.stackPointer, call.processor.sp + popped);
      writeContext(memory, architecture.name, context, registers);
    }),
    defineExport('RtlRestoreContext', ['pointer', 'pointer'], ({ thread, processor }, context) => {
      applyContext(processor, readContext(thread.memory, thread.architecture.name, context));
      return CONTEXT_SET;
    }),
  ];
}

/** RtlUnwind(TargetFrame, TargetIp, ExceptionRecord, ReturnValue). x86 returns to its caller; the others go to TargetIp. */
function* rtlUnwind(
  call: ServiceCall,
  targetFrame: bigint,
  targetIp: bigint,
  record: bigint,
  returnValue: bigint,
): GuestProcedure {
  if (call.thread.architecture.hasUnwindTables)
    return yield* rtlUnwindEx(call, { targetFrame, targetIp, record, returnValue });
  const frame = writeGuestFrame(call.thread, {
    code: 0xc000_0027, // STATUS_UNWIND
    flags: 0,
    address: call.thread.architecture.returnAddressAtEntry(call.processor),
    parameters: [],
  });
  if (frame === undefined) return undefined;
  const given = record === 0n ? frame.record : record;
  yield* unwindChain(call.thread, targetFrame, given, frame.context, frame.area.dispatcherContext);
  return returnValue;
}

function* rtlUnwindEx(
  call: ServiceCall,
  request: { targetFrame: bigint; targetIp: bigint; record: bigint; returnValue: bigint },
): GuestProcedure {
  const { thread } = call;
  const code = 0xc000_0027; // STATUS_UNWIND
  const address = thread.architecture.returnAddressAtEntry(call.processor);
  const frame = writeGuestFrame(thread, { code, flags: 0, address, parameters: [] });
  if (frame === undefined) return undefined;
  const record = request.record === 0n ? frame.record : request.record;
  const done = yield* unwindByTables(thread, { ...request, record, context: frame.context });
  if (done) return CONTEXT_SET;
  const missing = { code: EXCEPTION_CODES.STATUS_INVALID_UNWIND_TARGET, flags: 1, parameters: [] };
  return yield* raising(call, missing, 6);
}

/** Handlers that a process registers for all of its exceptions (errhandlingapi.h). */
export function exceptionHandlerExports(): SimulatedExport[] {
  return [
    raiseException(),
    defineExport('AddVectoredExceptionHandler', ['u32', 'pointer'], ({ process }, first, handler) => {
      const { vectored, ...others } = process.exceptionHandlers;
      const handlers = first === 0 ? [...vectored, handler] : [handler, ...vectored];
      changeProcess(process, { exceptionHandlers: { ...others, vectored: handlers } });
      return handler;
    }),
    defineExport('RemoveVectoredExceptionHandler', ['pointer'], ({ process }, handler) => {
      const { vectored, ...others } = process.exceptionHandlers;
      const index = vectored.indexOf(handler);
      if (index < 0) return 0;
      changeProcess(process, { exceptionHandlers: { ...others, vectored: vectored.toSpliced(index, 1) } });
      return 1;
    }),
    defineExport('SetUnhandledExceptionFilter', ['pointer'], ({ process }, filter) => {
      const { unhandledFilter, vectored } = process.exceptionHandlers;
      changeProcess(process, { exceptionHandlers: { vectored, unhandledFilter: filter } });
      return unhandledFilter;
    }),
    // EXCEPTION_CONTINUE_SEARCH: no debugger is attached.
    defineExport('UnhandledExceptionFilter', ['pointer'], () => 0),
  ];
}
