import type { Processor } from '../../cpu/index.js';
import { callAll, startProcedure } from './guest-call.js';
import { type Thread, threadFields } from './thread.js';
import { changeThread, keepCallouts } from './thread-control.js';

/** Puts the thread's registers on a processor. */
export function attachThread(thread: Thread, processor: Processor): void {
  const fields = threadFields(thread);
  if (fields.processor === processor) return;
  processor.addressSpace = thread.addressSpace;
  const begins = fields.context === undefined && fields.callouts.length === 0;
  if (fields.context === undefined) fields.start(processor);
  else processor.loadContext(fields.context);
  fields.processor = processor;
  const calls = begins ? fields.notifications?.begins() : undefined;
  if (calls !== undefined && calls.length > 0)
    startProcedure(thread.system.scheduler, thread, callAll(calls), () => {});
  if (fields.resultOfWait !== undefined) thread.architecture.setResult(processor, fields.resultOfWait);
  fields.resultOfWait = undefined;
}

/** A thread runs again, whatever has become of it since: for who puts the machine back to an earlier moment. */
export function rerunThread(thread: Thread, processor: Processor, irql: number): void {
  changeThread(thread, { state: 'running', crash: undefined, irql });
  keepCallouts(thread, 0);
  attachThread(thread, processor);
}
