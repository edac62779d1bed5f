import {
  ATTEMPTED_SWITCH_FROM_DPC,
  type Blocked,
  BugCheck,
  blocked,
  IRQL,
  irqlName,
} from '../common/index.js';
import { type ServiceCall, type SimulatedExport, stopSystem } from '../dispatch/index.js';
import { deadlineOf } from '../services/index.js';
import { CONTEXT_SET } from '../threads/index.js';
import { defineExport } from './simulated-export.js';

/** DISPATCHER_HEADER (wdm.h): UCHAR Type; …; LONG SignalState at +4. The guest's memory is the object. */
const SIGNAL_STATE = 4n;
const NOTIFICATION_OBJECT = 0;
const MUTANT_OBJECT = 2;
const TIMER_NOTIFICATION_OBJECT = 8;
const SEMAPHORE_OBJECT = 5;
const STATUS_SUCCESS = 0n;

const state = ({ thread }: ServiceCall, object: bigint): number =>
  thread.memory.readU32(object + SIGNAL_STATE) | 0;

function setState({ thread }: ServiceCall, object: bigint, value: number): number {
  const before = thread.memory.readU32(object + SIGNAL_STATE) | 0;
  thread.memory.writeU32(object + SIGNAL_STATE, value >>> 0);
  return before;
}

function initialize(call: ServiceCall, object: bigint, type: number, signalState: number): void {
  call.memory.writeU32(object, type);
  setState(call, object, signalState);
}

/** Notification objects stay signalled; a wait takes the signal of the others. */
function take(call: ServiceCall, object: bigint): bigint | undefined {
  const signals = state(call, object);
  if (signals <= 0) return undefined;
  const type = call.memory.readU8(object);
  if (type !== NOTIFICATION_OBJECT && type !== TIMER_NOTIFICATION_OBJECT) setState(call, object, signals - 1);
  return STATUS_SUCCESS;
}

function wait(call: ServiceCall, object: bigint, timeout: bigint): Blocked | typeof CONTEXT_SET {
  const deadline = deadlineOf(call, timeout);
  const mayWait = deadline === undefined || deadline > call.kernel.scheduler.time;
  if (mayWait && call.thread.irql >= IRQL.DISPATCH_LEVEL && state(call, object) <= 0)
    return stopSwitchFromDpc(call);
  return blocked({
    reason: `the object at ${call.thread.describe(object)}`,
    ready: () => take(call, object),
    ...(deadline === undefined ? {} : { deadline }),
  });
}

/** Code at DISPATCH_LEVEL cannot wait: no other thread could run on its processor. */
function stopSwitchFromDpc({ kernel, thread }: ServiceCall): typeof CONTEXT_SET {
  const text = `thread ${thread.id} waits at ${irqlName(thread.irql)}`;
  const bugCheck = new BugCheck(ATTEMPTED_SWITCH_FROM_DPC, [0n, BigInt(thread.id), 0n, 0n], text);
  stopSystem(kernel, thread, bugCheck, text);
  return CONTEXT_SET;
}

/** A spin lock is the word at its address: 0 free, 1 held. Waiting for one gives the processor away (modelled: real ones spin). */
function acquire(call: ServiceCall, lock: bigint, result: bigint): Blocked {
  const { memory } = call;
  return blocked({
    reason: `the spin lock at ${call.thread.describe(lock)}`,
    ready: () => {
      if (memory.readU32(lock) !== 0) return undefined;
      memory.writeU32(lock, 1);
      return result;
    },
  });
}

function raise({ thread }: ServiceCall, irql: number): number {
  const before = thread.irql;
  thread.irql = irql;
  return before;
}

/** Events, semaphores, mutexes, spin locks and IRQL of the kernel (wdm.h). */
export function kernelSynchronization(): SimulatedExport[] {
  const acquireToDpc = (name: string) =>
    defineExport(name, ['pointer'], (call, lock) =>
      acquire(call, lock, BigInt(raise(call, IRQL.DISPATCH_LEVEL))),
    );
  const release = (name: string) =>
    defineExport(name, ['pointer', 'u32'], (call, lock, irql) => {
      call.memory.writeU32(lock, 0);
      call.thread.irql = irql & 0xff;
    });
  const raiseTo = (name: string) => defineExport(name, ['u32'], (call, irql) => raise(call, irql & 0xff));
  const lower = (name: string) =>
    defineExport(name, ['u32'], (call, irql) => {
      call.thread.irql = irql & 0xff;
    });
  return [
    defineExport('KeInitializeEvent', ['pointer', 'u32', 'u32'], (call, event, type, signalled) =>
      initialize(call, event, type, signalled & 0xff),
    ),
    defineExport('KeSetEvent', ['pointer', 'i32', 'u32'], (call, event) => setState(call, event, 1)),
    defineExport('KeResetEvent', ['pointer'], (call, event) => setState(call, event, 0)),
    defineExport('KeClearEvent', ['pointer'], (call, event) => {
      setState(call, event, 0);
    }),
    defineExport('KeReadStateEvent', ['pointer'], (call, event) => state(call, event)),
    defineExport('KeInitializeSemaphore', ['pointer', 'i32', 'i32'], (call, semaphore, count) =>
      initialize(call, semaphore, SEMAPHORE_OBJECT, count),
    ),
    defineExport(
      'KeReleaseSemaphore',
      ['pointer', 'i32', 'i32', 'u32'],
      (call, semaphore, _increment, count) => setState(call, semaphore, state(call, semaphore) + count),
    ),
    defineExport('KeInitializeMutex', ['pointer', 'u32'], (call, mutex) =>
      initialize(call, mutex, MUTANT_OBJECT, 1),
    ),
    defineExport('KeReleaseMutex', ['pointer', 'u32'], (call, mutex) =>
      setState(call, mutex, state(call, mutex) + 1),
    ),
    defineExport(
      'KeWaitForSingleObject',
      ['pointer', 'u32', 'u32', 'u32', 'pointer'],
      (call, object, _reason, _mode, _alertable, timeout) => wait(call, object, timeout),
    ),
    defineExport('KeDelayExecutionThread', ['u32', 'u32', 'pointer'], (call, _mode, _alertable, interval) => {
      const deadline = deadlineOf(call, interval);
      return blocked({
        reason: 'its delay to end',
        ready: () => undefined,
        timeoutResult: STATUS_SUCCESS,
        ...(deadline === undefined ? {} : { deadline }),
      });
    }),
    defineExport('KeInitializeSpinLock', ['pointer'], (call, lock) => {
      call.memory.writeU32(lock, 0);
    }),
    acquireToDpc('KeAcquireSpinLockRaiseToDpc'),
    acquireToDpc('KfAcquireSpinLock'),
    release('KeReleaseSpinLock'),
    release('KfReleaseSpinLock'),
    defineExport('KeAcquireSpinLockAtDpcLevel', ['pointer'], (call, lock) => acquire(call, lock, 0n)),
    defineExport('KeReleaseSpinLockFromDpcLevel', ['pointer'], (call, lock) => {
      call.memory.writeU32(lock, 0);
    }),
    raiseTo('KfRaiseIrql'),
    defineExport('KeRaiseIrqlToDpcLevel', [], (call) => raise(call, IRQL.DISPATCH_LEVEL)),
    lower('KeLowerIrql'),
    lower('KfLowerIrql'),
    defineExport('KeGetCurrentIrql', [], ({ thread }) => thread.irql),
    defineExport('KeEnterCriticalRegion', [], () => {}),
    defineExport('KeLeaveCriticalRegion', [], () => {}),
  ];
}
