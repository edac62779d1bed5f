import {
  ATTEMPTED_SWITCH_FROM_DPC,
  BugCheck,
  blocked,
  IRQL,
  irqlName,
  MAXIMUM_WAIT_OBJECTS_EXCEEDED,
} from '../common/index.js';
import { type ServiceCall, type SimulatedExport, stopSystem } from '../dispatch/index.js';
import { KMUTANT, KSEMAPHORE } from '../io/index.js';
import { deadlineOf } from '../services/index.js';
import { CONTEXT_SET, type ServiceResult } from '../threads/index.js';
import { raising } from './exceptions.js';
import { worldOf } from './kernel-io.js';
import { defineExport } from './simulated-export.js';

/** DISPATCHER_HEADER (wdm.h): UCHAR Type; …; LONG SignalState at +4. The guest's memory is the object. */
const SIGNAL_STATE = 4n;
/** KOBJECTS (ntddk.h): what the kernel waits for. */
const KOBJECTS = {
  notificationEvent: 0,
  synchronizationEvent: 1,
  mutant: 2,
  process: 3,
  semaphore: 5,
  thread: 6,
  timerNotification: 8,
} as const;
/** A wait leaves the signal of these where it is. */
const STAYS_SIGNALLED: ReadonlySet<number> = new Set([
  KOBJECTS.notificationEvent,
  KOBJECTS.process,
  KOBJECTS.thread,
  KOBJECTS.timerNotification,
]);

/** How many objects a thread can wait for with the wait blocks that it has itself, and at all (wdm.h). */
const THREAD_WAIT_OBJECTS = 3;
const MAXIMUM_WAIT_OBJECTS = 64;
const WAIT_ALL = 0;

const STATUS_SUCCESS = 0n;
const STATUS_MUTANT_NOT_OWNED = 0xc0000046;
const STATUS_SEMAPHORE_LIMIT_EXCEEDED = 0xc0000047;

const mutantAt = (call: ServiceCall, address: bigint) => worldOf(call).at(KMUTANT, address);
const currentThread = (call: ServiceCall): bigint => call.kernel.io.threadObject(worldOf(call), call.thread);

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

const isMutant = ({ thread }: ServiceCall, object: bigint): boolean =>
  thread.memory.readU8(object) === KOBJECTS.mutant;

/** A mutex that the thread holds lets it in again. */
const isSignalled = (call: ServiceCall, object: bigint): boolean =>
  state(call, object) > 0 ||
  (isMutant(call, object) && mutantAt(call, object).wide('OwnerThread') === currentThread(call));

function take(call: ServiceCall, object: bigint): void {
  if (STAYS_SIGNALLED.has(call.thread.memory.readU8(object))) return;
  setState(call, object, state(call, object) - 1);
  if (isMutant(call, object)) mutantAt(call, object).set('OwnerThread', currentThread(call));
}

/** The objects that end the wait now: one, or all of them; undefined: it goes on. */
function signalledOf(
  call: ServiceCall,
  objects: readonly bigint[],
  waitsForAll: boolean,
): readonly bigint[] | undefined {
  if (waitsForAll) return objects.every((object) => isSignalled(call, object)) ? objects : undefined;
  const one = objects.find((object) => isSignalled(call, object));
  return one === undefined ? undefined : [one];
}

/** Takes what ends the wait; the index of the first of it is the result. */
function takeFrom(call: ServiceCall, objects: readonly bigint[], waitsForAll: boolean): bigint | undefined {
  const taken = signalledOf(call, objects, waitsForAll);
  if (taken === undefined) return undefined;
  for (const object of taken) take(call, object);
  const [first] = taken;
  return waitsForAll || first === undefined ? STATUS_SUCCESS : BigInt(objects.indexOf(first));
}

function wait(
  call: ServiceCall,
  objects: readonly bigint[],
  waitsForAll: boolean,
  timeout: bigint,
): ServiceResult {
  const { kernel, thread } = call;
  const deadline = deadlineOf(call, timeout);
  const mayWait = deadline === undefined || deadline > kernel.scheduler.time;
  if (mayWait && thread.irql >= IRQL.DISPATCH_LEVEL && signalledOf(call, objects, waitsForAll) === undefined)
    return stopSwitchFromDpc(call);
  const names = objects.map((object) => thread.describe(object));
  return blocked({
    reason:
      names.length === 1
        ? `the object at ${names[0]}`
        : `${waitsForAll ? 'all' : 'one'} of the objects at ${names.join(', ')}`,
    inMemory: true,
    ready: () => takeFrom(call, objects, waitsForAll),
    ...(deadline === undefined ? {} : { deadline }),
  });
}

/** KeWaitForMultipleObjects (wdm.h): with more than three objects the caller brings the wait blocks. */
function waitForSeveral(
  call: ServiceCall,
  count: number,
  array: bigint,
  type: number,
  timeout: bigint,
  waitBlocks: bigint,
): ServiceResult {
  const most = waitBlocks === 0n ? THREAD_WAIT_OBJECTS : MAXIMUM_WAIT_OBJECTS;
  if (count > most) {
    const text = `thread ${call.thread.id} waits for ${count} objects and may for ${most}`;
    stopSystem(
      call.kernel,
      call.thread,
      new BugCheck(MAXIMUM_WAIT_OBJECTS_EXCEEDED, [0n, 0n, 0n, 0n], text),
      text,
    );
    return CONTEXT_SET;
  }
  const objects = Array.from({ length: count }, (_, index) =>
    call.memory.readPointer(array + BigInt(index * call.pointerSize)),
  );
  return wait(call, objects, type === WAIT_ALL, timeout);
}

/** Code at DISPATCH_LEVEL cannot wait: no other thread could run on its processor. */
function stopSwitchFromDpc({ kernel, thread }: ServiceCall): typeof CONTEXT_SET {
  const text = `thread ${thread.id} waits at ${irqlName(thread.irql)}`;
  const bugCheck = new BugCheck(ATTEMPTED_SWITCH_FROM_DPC, [0n, BigInt(thread.id), 0n, 0n], text);
  stopSystem(kernel, thread, bugCheck, text);
  return CONTEXT_SET;
}

function initializeMutex(call: ServiceCall, mutex: bigint): void {
  const mutant = mutantAt(call, mutex);
  call.memory.write(mutex, new Uint8Array(mutant.size));
  initialize(call, mutex, KOBJECTS.mutant, 1);
  mutant.set('ApcDisable', 1);
}

/** Every wait of the owner needs a release of its own. */
function releaseMutex(call: ServiceCall, mutex: bigint): ServiceResult {
  const mutant = mutantAt(call, mutex);
  if (mutant.wide('OwnerThread') !== currentThread(call))
    return raising(call, { code: STATUS_MUTANT_NOT_OWNED, flags: 0, parameters: [] }, 2);
  const before = setState(call, mutex, state(call, mutex) + 1);
  if (before === 0) mutant.set('OwnerThread', 0n);
  return before;
}

function initializeSemaphore(call: ServiceCall, semaphore: bigint, count: number, limit: number): void {
  const object = worldOf(call).at(KSEMAPHORE, semaphore);
  call.memory.write(semaphore, new Uint8Array(object.size));
  initialize(call, semaphore, KOBJECTS.semaphore, count);
  object.set('Limit', limit >>> 0);
}

function releaseSemaphore(call: ServiceCall, semaphore: bigint, adjustment: number): ServiceResult {
  const before = state(call, semaphore);
  const limit = worldOf(call).at(KSEMAPHORE, semaphore).get('Limit') | 0;
  if (adjustment < 0 || before + adjustment > limit)
    return raising(call, { code: STATUS_SEMAPHORE_LIMIT_EXCEEDED, flags: 0, parameters: [] }, 4);
  return setState(call, semaphore, before + adjustment);
}

/** Events, semaphores, mutexes and waiting of the kernel (wdm.h). */
export function kernelObjects(): SimulatedExport[] {
  const waitForOne = (name: string) =>
    defineExport(
      name,
      ['pointer', 'u32', 'u32', 'u32', 'pointer'],
      (call, object, _reason, _mode, _alertable, timeout) => wait(call, [object], false, timeout),
    );
  const readState = (name: string) => defineExport(name, ['pointer'], state);
  return [
    defineExport('KeInitializeEvent', ['pointer', 'u32', 'u32'], (call, event, type, signalled) =>
      initialize(call, event, type, signalled & 0xff),
    ),
    defineExport('KeSetEvent', ['pointer', 'i32', 'u32'], (call, event) => setState(call, event, 1)),
    defineExport('KeResetEvent', ['pointer'], (call, event) => setState(call, event, 0)),
    defineExport('KeClearEvent', ['pointer'], (call, event) => {
      setState(call, event, 0);
    }),
    readState('KeReadStateEvent'),
    readState('KeReadStateMutex'),
    readState('KeReadStateSemaphore'),
    defineExport('KeInitializeSemaphore', ['pointer', 'i32', 'i32'], initializeSemaphore),
    defineExport(
      'KeReleaseSemaphore',
      ['pointer', 'i32', 'i32', 'u32'],
      (call, semaphore, _increment, adjustment) => releaseSemaphore(call, semaphore, adjustment),
    ),
    defineExport('KeInitializeMutex', ['pointer', 'u32'], (call, mutex) => initializeMutex(call, mutex)),
    defineExport('KeReleaseMutex', ['pointer', 'u32'], (call, mutex) => releaseMutex(call, mutex)),
    waitForOne('KeWaitForSingleObject'),
    // A macro for the one above in wdm.h, and an export of its own.
    waitForOne('KeWaitForMutexObject'),
    defineExport(
      'KeWaitForMultipleObjects',
      ['u32', 'pointer', 'u32', 'u32', 'u32', 'u32', 'pointer', 'pointer'],
      (call, count, array, type, _reason, _mode, _alertable, timeout, waitBlocks) =>
        waitForSeveral(call, count, array, type, timeout, waitBlocks),
    ),
    defineExport('KeDelayExecutionThread', ['u32', 'u32', 'pointer'], (call, _mode, _alertable, interval) => {
      const deadline = deadlineOf(call, interval);
      return blocked({
        reason: 'its delay to end',
        inMemory: true,
        ready: () => undefined,
        timeoutResult: STATUS_SUCCESS,
        ...(deadline === undefined ? {} : { deadline }),
      });
    }),
  ];
}
