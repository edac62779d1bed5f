import { type GuestCall, keepCallouts, processorOf, type Thread } from '../../threads/index.js';
import { FrameWalker } from '../stack-walk.js';
import { DISPOSITION, EXCEPTION_TARGET_UNWIND, EXCEPTION_UNWINDING } from './codes.js';
import {
  DISPATCHER_CONTEXT,
  describeFrame,
  type GuestExceptionFrame,
  takeHandlerArea,
} from './guest-frame.js';

export type Outcome = 'continue' | 'unhandled';

/** EXCEPTION_RECORD.ExceptionFlags */
const FLAGS = 4n;

/**
 * The first pass over the frames of x64 and ARM64 code (RtlDispatchException): calls the language-specific handler of
 * each, from the innermost outwards, until one wants execution to continue. A handler that takes the exception unwinds to
 * its frame and does not come back.
 */
export function* dispatchByTables(
  thread: Thread,
  frame: GuestExceptionFrame,
): Generator<GuestCall, Outcome, bigint> {
  const walker = FrameWalker.behindProcedure(thread);
  do {
    const { handler } = walker;
    if (handler?.forExceptions !== true) continue;
    describeFrame(thread, frame.area, frame.context, {
      controlPc: walker.pc,
      unwoundToCall: !walker.innermost,
      handler,
      registers: walker.registers,
      targetIp: 0n,
      scopeIndex: scopesDone(thread, walker),
    });
    const disposition = yield {
      target: handler.handler,
      arguments: [frame.record, handler.establisherFrame, frame.context, frame.area.dispatcherContext],
    };
    if ((disposition & 0xffff_ffffn) === DISPOSITION.continueExecution) return 'continue';
  } while (walker.next());
  return 'unhandled';
}

/** An unwind that is under way in this frame has left some of its scopes behind already. */
function scopesDone(thread: Thread, { interruptedUnwind }: FrameWalker): number {
  if (interruptedUnwind === undefined) return 0;
  return thread.memory.readU32(interruptedUnwind + DISPATCHER_CONTEXT.scopeIndex);
}

export interface UnwindRequest {
  readonly targetFrame: bigint;
  readonly targetIp: bigint;
  /** EXCEPTION_RECORD */
  readonly record: bigint;
  readonly returnValue: bigint;
  /** CONTEXT from which the registers that the frames do not know are taken. */
  readonly context: bigint;
}

/**
 * The second pass (RtlUnwindEx): lets every frame up to the target clean up, then goes on in the target frame. Must be
 * the last thing that a procedure does: afterwards the thread's registers are set. False when there is no such frame.
 */
export function* unwindByTables(
  thread: Thread,
  request: UnwindRequest,
): Generator<GuestCall, boolean, bigint> {
  const { memory, architecture } = thread;
  const own = thread.callouts.at(-1);
  const area = takeHandlerArea(thread);
  if (own === undefined || area === undefined) return false;
  const flags = memory.readU32(request.record + FLAGS) | EXCEPTION_UNWINDING;
  const walker = FrameWalker.behindProcedure(thread);
  do {
    const { handler } = walker;
    const isTarget = handler?.establisherFrame === request.targetFrame;
    if (handler?.forUnwinding === true) {
      memory.writeU32(request.record + FLAGS, isTarget ? flags | EXCEPTION_TARGET_UNWIND : flags);
      describeFrame(thread, area, request.context, {
        controlPc: walker.pc,
        unwoundToCall: !walker.innermost,
        handler,
        registers: walker.registers,
        targetIp: request.targetIp,
        scopeIndex: scopesDone(thread, walker),
      });
      own.unwind = {
        registers: walker.registers,
        innermost: walker.innermost,
        proceduresOutside: walker.proceduresOutside,
        dispatcherContext: area.dispatcherContext,
      };
      yield {
        target: handler.handler,
        arguments: [request.record, handler.establisherFrame, area.context, area.dispatcherContext],
      };
    }
    if (!isTarget) continue;
    const processor = processorOf(thread);
    processor.loadContext(own.context);
    for (const [name, value] of walker.registers)
      if (name !== 'rflags' && name !== 'nzcv') processor.set(name, value);
    processor.pc = request.targetIp;
    architecture.setResult(processor, request.returnValue);
    // Not by their stack pointers: a function without a frame has that of its caller.
    keepCallouts(thread, walker.proceduresOutside);
    return true;
  } while (walker.next());
  return false;
}
