import type { ArchitectureName, Processor } from '../../cpu/index.js';
import { isBlocked } from '../common/index.js';
import {
  CONTEXT_SET,
  changeThread,
  type GuestProcedure,
  isProcedure,
  type ServiceResult,
  startProcedure,
  type Thread,
  type TypedResult,
} from '../threads/index.js';
import type { ServiceCall } from './service-call.js';

type Leave = (processor: Processor) => void;

/** Goes on with what a handler returned: a procedure first calls the guest, and comes back here with its result. */
export function complete(call: ServiceCall, result: ServiceResult, leave: Leave): void {
  const { kernel, thread, processor } = call;
  // Serving the call may have run other threads on its processor.
  kernel.scheduler.putBack(thread, processor);
  if (result === CONTEXT_SET || thread.finished) return;
  if (!isProcedure(result)) finish(thread, processor, result, leave);
  else startProcedure(kernel.scheduler, thread, result, (on, last) => finish(thread, on, last, leave));
}

/** Sets the result and returns to the caller; a thread that waits gets its result when it is woken. */
function finish(thread: Thread, processor: Processor, result: ServiceResult, leave: Leave): void {
  leave(processor);
  if (isBlocked(result)) {
    const now = result.ready();
    if (now === undefined) {
      changeThread(thread, { state: 'waiting', wait: result });
      return;
    }
    thread.architecture.setResult(processor, now);
    return;
  }
  if (typeof result === 'bigint' || typeof result === 'number')
    thread.architecture.setResult(processor, BigInt(result));
  else if (typeof result === 'object') setTypedResult(thread, processor, result);
}

/** Where the upper half of a 64-bit result is returned, if it does not fit into the result register. */
const HIGH_HALF: Readonly<Record<ArchitectureName, string | undefined>> = {
  x64: undefined,
  arm64: undefined,
  x86: 'edx',
};

/** Results in floating-point registers, and 64-bit ones in edx:eax of 32-bit code. */
function setTypedResult(
  { architecture }: Thread,
  processor: Processor,
  result: TypedResult | GuestProcedure,
): void {
  if (!('kind' in result)) return;
  if (result.kind !== 'u64') {
    architecture.setFloatResult(processor, result.value, result.kind);
    return;
  }
  architecture.setResult(processor, BigInt.asUintN(architecture.pointerSize * 8, result.value));
  const high = HIGH_HALF[architecture.name];
  if (high !== undefined) processor.set(high, BigInt.asUintN(64, result.value) >> 32n);
}
