import type { GuestCall } from './guest-call.js';
import { type Thread, type ThreadFields, threadFields } from './thread.js';

/** The kernel's own way to change what it knows of a thread: not exported from the loader. */
export function changeThread(
  thread: Thread,
  fields: Partial<Pick<ThreadFields, 'state' | 'irql' | 'wait' | 'crash' | 'kernelThread'>>,
): void {
  Object.assign(threadFields(thread), fields);
}

/** Its function has returned this, or it has ended itself with this exit code. */
export function finishThread(thread: Thread, returnValue: bigint, floatReturnValue?: number): void {
  const fields = threadFields(thread);
  fields.returnValue = returnValue;
  fields.floatReturnValue = floatReturnValue;
  fields.state = 'terminated';
}

/** What is still to be called before it ends; asked once. */
export function takeLastCalls(thread: Thread): readonly GuestCall[] {
  const fields = threadFields(thread);
  const calls = fields.notifications?.ends() ?? [];
  fields.notifications = undefined;
  return calls;
}

/** Takes the thread off its processor. */
export function detachThread(thread: Thread): void {
  const fields = threadFields(thread);
  const { processor } = fields;
  if (processor === undefined) return;
  for (const name of thread.architecture.registers) fields.registers.set(name, processor.get(name));
  fields.context = processor.saveContext();
  fields.processor = undefined;
}

/** Ends its wait: the function that it waits in will return `result`. */
export function wakeThread(thread: Thread, result: bigint): void {
  const fields = threadFields(thread);
  fields.wait = undefined;
  fields.state = 'ready';
  fields.resultOfWait = result;
}

/** Only the first `count` of the procedures that have interrupted it go on. */
export function keepCallouts(thread: Thread, count: number): void {
  threadFields(thread).callouts.length = count;
}
