import type { Exit, Processor } from '../cpu/index.js';
import { emulateRegisterRead } from './arm64-system-registers.js';
import { crashOf } from './crash.js';
import type { Kernel } from './kernel.js';
import type { PlacedExport } from './service-table.js';
import { CONTEXT_SET, calleePops, type ServiceCall, type ServiceResult } from './simulated-export.js';
import type { Thread } from './thread.js';
import { isBlocked } from './wait.js';

/** Decides what becomes of a thread whose processor left the guest. */
export function handleExit(kernel: Kernel, thread: Thread, processor: Processor, exit: Exit): void {
  if (exit.reason === 'returned') {
    thread.returnValue = thread.architecture.result(processor);
    thread.state = 'terminated';
    return;
  }
  const service = exit.reason === 'serviceCall' ? thread.domain.services.at(exit.address) : undefined;
  if (service !== undefined) serveExport(kernel, thread, processor, service);
  else if (exit.reason === 'systemCall' && thread.domain.kind === 'user')
    serveSystemCall(kernel, thread, processor, exit);
  else if (!(isInvalidOpcode(exit) && emulateRegisterRead(thread, processor)))
    crash(kernel, thread, processor, exit);
}

const isInvalidOpcode = (exit: Exit): boolean => exit.reason === 'exception' && exit.name === 'invalidOpcode';

export function crash(kernel: Kernel, thread: Thread, processor: Processor, exit: Exit): void {
  thread.state = 'crashed';
  thread.crash = crashOf(thread, processor, exit);
  kernel.events.emit({
    kind: 'threadCrashed',
    text: `thread ${thread.id} (${thread.name}): ${thread.crash.text}`,
  });
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
  const result = entry.serve(call);
  kernel.scheduler.putBack(thread, processor);
  if (result === CONTEXT_SET || thread.finished) return;
  finish(thread, processor, result, () =>
    architecture.returnFromCall(processor, { calleePops: calleePops(entry, architecture.pointerSize) }),
  );
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
  if (result !== CONTEXT_SET && !thread.finished) finish(thread, processor, result, () => {});
}

/** Sets the result and returns to the caller; a thread that waits gets its result when it is woken. */
function finish(thread: Thread, processor: Processor, result: ServiceResult, leave: () => void): void {
  leave();
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
