import { blocked } from '../common/index.js';
import type { ServiceCall, ServiceOwner, SimulatedExport } from '../dispatch/index.js';
import { readPointer, writePointer } from '../memory/index.js';
import type { QueuedDpc } from '../threads/index.js';
import { defineExport } from './simulated-export.js';

/** KDPC (wdm.h): UCHAR Type, Importance; USHORT Number; …; offsets of the pointers. */
const KDPC = {
  8: { routine: 0x18n, context: 0x20n, argument1: 0x28n, argument2: 0x30n, data: 0x38n },
  4: { routine: 0x0cn, context: 0x10n, argument1: 0x14n, argument2: 0x18n, data: 0x1cn },
} as const;
const DPC_OBJECT = 0x13;
const IMPORTANCE = 1n;
const NUMBER = 2n;
const MEDIUM_IMPORTANCE = 1;
const HIGH_IMPORTANCE = 2;
/** Number of a DPC that has a target processor (modelled: the builds differ). */
const TARGETED = 0x800;

/** KTIMER: DISPATCHER_HEADER, DueTime, TimerListEntry, Dpc, …, Period. */
const KTIMER = {
  8: { dueTime: 0x18n, dpc: 0x30n, period: 0x3cn },
  4: { dueTime: 0x10n, dpc: 0x20n, period: 0x24n },
};
const TIMER_NOTIFICATION_OBJECT = 8;
const SIGNAL_STATE = 4n;
/** Ticks of the kernel's clock in a millisecond, as in the waits. */
const MILLISECOND = 10_000n;

const pointerAt = ({ thread, pointerSize }: ServiceCall, address: bigint): bigint =>
  readPointer(thread.memory, address, pointerSize);
const setPointer = ({ thread, pointerSize }: ServiceCall, address: bigint, value: bigint): void =>
  writePointer(thread.memory, address, value, pointerSize);

function initializeDpc(call: ServiceCall, dpc: bigint, routine: bigint, context: bigint): void {
  const { memory } = call;
  const at = KDPC[call.pointerSize];
  memory.writeU32(dpc, DPC_OBJECT | (MEDIUM_IMPORTANCE << 8));
  setPointer(call, dpc + at.routine, routine);
  setPointer(call, dpc + at.context, context);
  setPointer(call, dpc + at.data, 0n);
}

/** False when it is in a queue already. */
function insertDpc(call: ServiceCall, dpc: bigint, argument1: bigint, argument2: bigint): boolean {
  const { kernel, domain, thread, processor } = call;
  const { memory } = thread;
  if (kernel.dpcs.isQueued(dpc)) return false;
  const at = KDPC[call.pointerSize];
  setPointer(call, dpc + at.argument1, argument1);
  setPointer(call, dpc + at.argument2, argument2);
  // DpcData says that it is in a queue.
  setPointer(call, dpc + at.data, 1n);
  const number = memory.readU16(dpc + NUMBER);
  const target = number >= TARGETED ? number - TARGETED : processor.index;
  const queued: QueuedDpc = {
    object: dpc,
    routine: pointerAt(call, dpc + at.routine),
    parameters: [dpc, pointerAt(call, dpc + at.context), argument1, argument2],
    domain,
    onStart: () => writePointer(memory, dpc + at.data, 0n, call.pointerSize),
  };
  kernel.dpcs.insert(target, queued, memory.readU8(dpc + IMPORTANCE) === HIGH_IMPORTANCE);
  return true;
}

/** One KeGenericCallDpc: how many processors are done, and how many stand at the barrier. */
class GenericCall {
  done = 0;
  #arrived = 0;
  #round = 0;

  constructor(readonly processors: number) {}

  /** All processors meet; true for the one that comes last. */
  synchronize(): { readonly last: true } | { readonly last: false; passed(): boolean } {
    const round = this.#round;
    this.#arrived += 1;
    if (this.#arrived < this.processors) return { last: false, passed: () => this.#round > round };
    this.#arrived = 0;
    this.#round += 1;
    return { last: true };
  }
}

const genericCalls = new WeakMap<ServiceOwner, Map<bigint, GenericCall>>();

function callsOf(kernel: ServiceOwner): Map<bigint, GenericCall> {
  const known = genericCalls.get(kernel) ?? new Map<bigint, GenericCall>();
  genericCalls.set(kernel, known);
  return known;
}

/** Runs `routine` as a DPC on every processor at once, and returns when all have said that they are done. */
function genericCallDpc(call: ServiceCall, routine: bigint, context: bigint) {
  const { kernel, domain } = call;
  const calls = callsOf(kernel);
  const { length } = kernel.machine.processors;
  let token: bigint | undefined;
  const start = (): bigint => {
    const pool = domain.kind === 'user' ? call.process.heap : kernel.pool;
    const barrier = pool.allocate(16, 0, { fill: 0, quota: false });
    domain.addressSpace.writeU32(barrier, length);
    calls.set(barrier, new GenericCall(length));
    for (let index = 0; index < length; index++)
      kernel.dpcs.insert(index, {
        object: barrier,
        routine,
        parameters: [0n, context, barrier, barrier],
        domain,
      });
    return barrier;
  };
  return blocked({
    reason: 'a generic DPC to be done on every processor',
    ready: () => {
      // Only one at a time (KiGenericCallDpcMutex).
      if (token === undefined && calls.size > 0) return undefined;
      token ??= start();
      const generic = calls.get(token);
      if (generic === undefined || generic.done < generic.processors) return undefined;
      calls.delete(token);
      (domain.kind === 'user' ? call.process.heap : kernel.pool).free(token, 0);
      return 0n;
    },
  });
}

/** @param type 0 NotificationTimer, 1 SynchronizationTimer */
function initializeTimer({ thread, pointerSize }: ServiceCall, timer: bigint, type: number): void {
  thread.memory.write(timer, new Uint8Array(pointerSize === 8 ? 0x40 : 0x28));
  thread.memory.writeU8(timer, TIMER_NOTIFICATION_OBJECT + (type & 1));
}

function setTimer(call: ServiceCall, timer: bigint, dueTime: bigint, period: number, dpc: bigint): number {
  const { kernel, thread } = call;
  const { memory } = thread;
  const at = KTIMER[call.pointerSize];
  const relative = BigInt.asIntN(64, dueTime);
  const due = relative <= 0n ? kernel.scheduler.time - relative : relative;
  memory.writeU32(timer + SIGNAL_STATE, 0);
  memory.writeU64(timer + at.dueTime, due);
  setPointer(call, timer + at.dpc, dpc);
  memory.writeU32(timer + at.period, period);
  const wasSet = kernel.dpcs.setTimer({
    object: timer,
    due,
    period: BigInt(period) * MILLISECOND,
    onExpiry: () => {
      memory.writeU32(timer + SIGNAL_STATE, 1);
      if (dpc !== 0n) insertDpc(call, dpc, 0n, 0n);
    },
  });
  return wasSet ? 1 : 0;
}

/** Deferred procedure calls and timers (wdm.h, ntddk.h). */
export function kernelDpc(): SimulatedExport[] {
  return [
    defineExport('KeInitializeDpc', ['pointer', 'pointer', 'pointer'], initializeDpc),
    defineExport('KeSetTargetProcessorDpc', ['pointer', 'u32'], ({ thread }, dpc, number) => {
      thread.memory.writeU16(dpc + NUMBER, TARGETED + (number & 0xff));
    }),
    defineExport('KeSetImportanceDpc', ['pointer', 'u32'], ({ thread }, dpc, importance) => {
      thread.memory.writeU8(dpc + IMPORTANCE, importance & 0xff);
    }),
    defineExport('KeInsertQueueDpc', ['pointer', 'pointer', 'pointer'], (call, dpc, first, second) =>
      insertDpc(call, dpc, first, second) ? 1 : 0,
    ),
    defineExport('KeRemoveQueueDpc', ['pointer'], (call, dpc) => {
      if (!call.kernel.dpcs.remove(dpc)) return 0;
      setPointer(call, dpc + KDPC[call.pointerSize].data, 0n);
      return 1;
    }),
    defineExport('KeFlushQueuedDpcs', [], ({ kernel }) =>
      blocked({
        reason: 'all queued DPCs to have run',
        ready: () => (kernel.dpcs.isBusy ? undefined : 0n),
      }),
    ),
    defineExport('KeGenericCallDpc', ['pointer', 'pointer'], genericCallDpc),
    defineExport('KeSignalCallDpcDone', ['pointer'], ({ kernel }, barrier) => {
      const generic = callsOf(kernel).get(barrier);
      if (generic !== undefined) generic.done += 1;
    }),
    defineExport('KeSignalCallDpcSynchronize', ['pointer'], ({ kernel }, barrier) => {
      const met = callsOf(kernel).get(barrier)?.synchronize();
      if (met === undefined) return 0;
      if (met.last) return 1;
      return blocked({
        reason: 'the other processors to come to the barrier of a generic DPC',
        ready: () => (met.passed() ? 0n : undefined),
        spins: true,
      });
    }),
    defineExport('KeInitializeTimer', ['pointer'], (call, timer) => initializeTimer(call, timer, 0)),
    defineExport('KeInitializeTimerEx', ['pointer', 'u32'], initializeTimer),
    defineExport('KeSetTimer', ['pointer', 'u64', 'pointer'], (call, timer, due, dpc) =>
      setTimer(call, timer, due, 0, dpc),
    ),
    defineExport('KeSetTimerEx', ['pointer', 'u64', 'u32', 'pointer'], (call, timer, due, period, dpc) =>
      setTimer(call, timer, due, period, dpc),
    ),
    defineExport('KeCancelTimer', ['pointer'], ({ kernel }, timer) =>
      kernel.dpcs.cancelTimer(timer) ? 1 : 0,
    ),
    defineExport('KeReadStateTimer', ['pointer'], ({ thread }, timer) =>
      thread.memory.readU32(timer + SIGNAL_STATE) === 0 ? 0 : 1,
    ),
  ];
}
