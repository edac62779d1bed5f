import type { ArchitectureName, Processor } from '../../../cpu/index.js';
import { ImageError } from '../../../image/index.js';
import {
  CONTEXT_SET,
  type ExceptionDetails,
  type GuestCall,
  type GuestProcedure,
  processorOf,
  type Thread,
} from '../../threads/index.js';
import type { ServiceCall } from '../service-call.js';
import type { ServiceOwner } from '../service-owner.js';
import { FrameWalker } from '../stack-walk.js';
import { dispatchByChain, registrations } from './chain-dispatch.js';
import { EXCEPTION_CODES, EXCEPTION_NONCONTINUABLE } from './codes.js';
import { applyContext, captureContext, readContext } from './context.js';
import { type GuestExceptionFrame, writeGuestFrame } from './guest-frame.js';
import { dispatchByTables, type Outcome } from './table-dispatch.js';

const EXCEPTION_CONTINUE_EXECUTION = -1;

/**
 * Would any handler see an exception of this thread? When none would, nothing needs to be written to its stack.
 * Unreadable unwind data end the search, as the stack cannot be followed further.
 */
export function isHandlerInSight(thread: Thread): boolean {
  const { exceptionHandlers } = thread.process;
  if (exceptionHandlers.vectored.length > 0 || exceptionHandlers.unhandledFilter !== 0n) return true;
  return HANDLERS[thread.architecture.name].isInSight(thread);
}

const isRegistered = (thread: Thread): boolean => registrations(thread).next().done !== true;

function isInTables(thread: Thread): boolean {
  const { registers } = thread.architecture;
  try {
    const walker = new FrameWalker(thread, new Map(registers.map((name) => [name, thread.register(name)])));
    do if (walker.handler?.forExceptions === true) return true;
    while (walker.next());
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
  }
  return false;
}

/**
 * Raises an exception on the thread that the running procedure has interrupted: vectored handlers, the handlers of its
 * frames, at last the unhandled-exception filter. A frame that takes it does not let this procedure end.
 * @param unhandled what becomes of the thread when nobody wants it; the thread's registers are those of the exception
 */
export function* raise(
  thread: Thread,
  exception: ExceptionDetails,
  unhandled: (processor: Processor, exception: ExceptionDetails) => void,
): GuestProcedure {
  const own = thread.callouts.at(-1);
  const context = captureContext(processorOf(thread), thread.architecture.name);
  let outcome: Outcome = 'unhandled';
  let current = exception;
  for (;;) {
    const frame = writeGuestFrame(thread, current, context);
    outcome = frame === undefined ? 'unhandled' : yield* dispatch(thread, frame);
    const processor = processorOf(thread);
    if (own !== undefined) processor.loadContext(own.context);
    if (outcome === 'unhandled' || frame === undefined) {
      unhandled(processor, current);
      return CONTEXT_SET;
    }
    if ((current.flags & EXCEPTION_NONCONTINUABLE) === 0) {
      applyContext(processor, readContext(thread.memory, thread.architecture.name, frame.context));
      return CONTEXT_SET;
    }
    const code = EXCEPTION_CODES.STATUS_NONCONTINUABLE_EXCEPTION;
    current = { code, flags: EXCEPTION_NONCONTINUABLE, address: exception.address, parameters: [] };
  }
}

function* dispatch(thread: Thread, frame: GuestExceptionFrame): Generator<GuestCall, Outcome, bigint> {
  const { exceptionHandlers } = thread.process;
  for (const target of [...exceptionHandlers.vectored])
    if (wantsToContinue(yield { target, arguments: [frame.pointers] })) return 'continue';
  const outcome = yield* HANDLERS[thread.architecture.name].dispatch(thread, frame);
  const { unhandledFilter } = exceptionHandlers;
  if (outcome === 'continue' || unhandledFilter === 0n) return outcome;
  const verdict = yield { target: unhandledFilter, arguments: [frame.pointers] };
  return wantsToContinue(verdict) ? 'continue' : 'unhandled';
}

const wantsToContinue = (verdict: bigint): boolean =>
  Number(BigInt.asIntN(32, verdict)) === EXCEPTION_CONTINUE_EXECUTION;

/** Raises an exception in the code that called a simulated export, as if it had happened there on return. */
export function* raiseInCaller(
  call: ServiceCall,
  details: Omit<ExceptionDetails, 'address'> & { readonly address?: bigint },
  options: {
    readonly calleePops: number;
    /** No handler may see it. */
    readonly isFatal?: boolean;
    readonly unhandled: (kernel: ServiceOwner, thread: Thread, exception: ExceptionDetails) => void;
  },
): GuestProcedure {
  const { kernel, thread } = call;
  const { architecture } = thread;
  const processor = processorOf(thread);
  const address = details.address ?? architecture.returnAddressAtEntry(processor);
  architecture.returnFromCall(processor, { calleePops: options.calleePops });
  const exception = { ...details, address };
  if (options.isFatal === true || !isHandlerInSight(thread)) {
    options.unhandled(kernel, thread, exception);
    return CONTEXT_SET;
  }
  return yield* raise(thread, exception, (_processor, last) => options.unhandled(kernel, thread, last));
}

/** Where handlers are found: in the chain of registrations at the start of the TEB, or in the tables of images. */
interface Handlers {
  isInSight(thread: Thread): boolean;
  dispatch(thread: Thread, frame: GuestExceptionFrame): Generator<GuestCall, Outcome, bigint>;
}

const TABLES: Handlers = { isInSight: isInTables, dispatch: dispatchByTables };
const HANDLERS: Readonly<Record<ArchitectureName, Handlers>> = {
  x64: TABLES,
  x86: { isInSight: isRegistered, dispatch: dispatchByChain },
  arm64: TABLES,
};
