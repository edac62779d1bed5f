import { type Blocked, blocked } from '../common/index.js';
import type { ServiceCall, SimulatedExport } from '../dispatch/index.js';
import { DeviceFile } from '../io/index.js';
import { readPointer, writePointer } from '../memory/index.js';
import { EventObject, MutexObject, Process, SemaphoreObject } from '../processes/index.js';
import { Thread } from '../threads/index.js';
import { fail } from './disk-access.js';
import { defineExport } from './simulated-export.js';

const INFINITE = 0xffffffff;
const WAIT_TIMEOUT = 0x102n;
const WAIT_FAILED = 0xffffffffn;
const ERROR_INVALID_HANDLE = 6;
/** Ticks of the kernel's clock in a millisecond. */
const MILLISECOND = 10_000n;

export const deadline = ({ kernel }: ServiceCall, milliseconds: number): { deadline?: bigint } =>
  milliseconds === INFINITE ? {} : { deadline: kernel.scheduler.time + BigInt(milliseconds) * MILLISECOND };

/** What a wait can be for: is it signalled, and what a wait that is satisfied does to it. */
export interface Waitable {
  readonly reason: string;
  isSignalled(): boolean;
  take(): void;
}

export function waitableOf(call: ServiceCall, handle: bigint): Waitable | undefined {
  const { handles } = call.process;
  const reason = `handle ${handle}`;
  const take = () => {};
  const event = handles.get(handle, EventObject);
  if (event !== undefined)
    return { reason, isSignalled: () => event.signalled, take: () => void event.take() };
  const thread = handles.get(handle, Thread);
  if (thread !== undefined)
    return { reason: `thread ${thread.id}`, isSignalled: () => thread.finished, take };
  const process = handles.get(handle, Process);
  if (process !== undefined) return { reason, isSignalled: () => process.terminated, take };
  const file = handles.get(handle, DeviceFile);
  if (file !== undefined) return { reason, isSignalled: () => file.isSignalled, take };
  const mutex = handles.get(handle, MutexObject);
  const owner = call.thread.id;
  if (mutex !== undefined)
    return { reason, isSignalled: () => mutex.isFree(owner), take: () => mutex.take(owner) };
  const semaphore = handles.get(handle, SemaphoreObject);
  if (semaphore !== undefined)
    return { reason, isSignalled: () => semaphore.count > 0, take: () => semaphore.take() };
  return undefined;
}

function waitForHandle(call: ServiceCall, handle: bigint, milliseconds: number): Blocked | bigint {
  const object = waitableOf(call, handle);
  if (object === undefined) return fail(call, ERROR_INVALID_HANDLE, WAIT_FAILED);
  return blocked({
    reason: object.reason,
    ready: () => {
      if (!object.isSignalled()) return undefined;
      object.take();
      return 0n;
    },
    timeoutResult: WAIT_TIMEOUT,
    ...deadline(call, milliseconds),
  });
}

/** CRITICAL_SECTION (winnt.h): DebugInfo, LockCount, RecursionCount, OwningThread. The guest's memory is the lock. */
export function criticalSection({ thread, pointerSize }: ServiceCall, address: bigint) {
  const { memory } = thread;
  const recursion = address + BigInt(pointerSize + 4);
  const owner = recursion + 4n;
  return {
    initialize: () => {
      memory.write(address, new Uint8Array(pointerSize === 8 ? 40 : 24));
      memory.writeU32(address + BigInt(pointerSize), 0xffffffff);
    },
    take: (): boolean => {
      const held = memory.readU32(recursion);
      if (held !== 0 && readPointer(memory, owner, pointerSize) !== BigInt(thread.id)) return false;
      memory.writeU32(recursion, held + 1);
      writePointer(memory, owner, BigInt(thread.id), pointerSize);
      return true;
    },
    leave: () => {
      const held = memory.readU32(recursion) - 1;
      memory.writeU32(recursion, Math.max(0, held));
      if (held <= 0) writePointer(memory, owner, 0n, pointerSize);
    },
  };
}

const EXCLUSIVE = 1n;
const SHARED_UNIT = 16n;

/** SRWLOCK: a pointer-sized word; 1 when held exclusively, 16 for each shared holder. */
export function srwLock({ thread, pointerSize }: ServiceCall, address: bigint) {
  const { memory } = thread;
  const word = () => readPointer(memory, address, pointerSize);
  const set = (value: bigint) => writePointer(memory, address, value, pointerSize);
  const take = (isFree: boolean, value: bigint): boolean => {
    if (isFree) set(value);
    return isFree;
  };
  return {
    takeExclusive: () => take(word() === 0n, EXCLUSIVE),
    takeShared: () => take(word() !== EXCLUSIVE, word() + SHARED_UNIT),
    leaveExclusive: () => set(0n),
    leaveShared: () => set(word() - SHARED_UNIT),
  };
}

function until(reason: string, take: () => boolean): Blocked {
  return blocked({ reason, inMemory: true, ready: () => (take() ? 0n : undefined) });
}

/** Waiting, events and locks of kernelbase.dll (synchapi.h). */
export function userSynchronization(): SimulatedExport[] {
  const initialize = (name: string, parameters: readonly 'u32'[]) =>
    defineExport(name, ['pointer', ...parameters], (call, address) => {
      criticalSection(call, address).initialize();
      return 1;
    });
  const srw = (name: string, reason: string, take: 'takeExclusive' | 'takeShared') =>
    defineExport(name, ['pointer'], (call, address) =>
      until(`${reason} lock at ${call.thread.describe(address)}`, srwLock(call, address)[take]),
    );
  return [
    defineExport('Sleep', ['u32'], (call, milliseconds) =>
      blocked({
        reason: 'its sleep to end',
        inMemory: true,
        ready: () => undefined,
        timeoutResult: 0n,
        ...deadline(call, milliseconds),
      }),
    ),
    defineExport('SetEvent', ['pointer'], ({ process }, handle) => {
      const event = process.handles.get(handle, EventObject);
      event?.set();
      return event === undefined ? 0 : 1;
    }),
    defineExport('ResetEvent', ['pointer'], ({ process }, handle) => {
      const event = process.handles.get(handle, EventObject);
      event?.reset();
      return event === undefined ? 0 : 1;
    }),
    defineExport('WaitForSingleObject', ['pointer', 'u32'], waitForHandle),
    defineExport('WaitForSingleObjectEx', ['pointer', 'u32', 'u32'], waitForHandle),
    initialize('InitializeCriticalSection', []),
    initialize('InitializeCriticalSectionAndSpinCount', ['u32']),
    initialize('InitializeCriticalSectionEx', ['u32', 'u32']),
    defineExport('DeleteCriticalSection', ['pointer'], () => {}),
    defineExport('EnterCriticalSection', ['pointer'], (call, address) =>
      until(`the critical section at ${call.thread.describe(address)}`, criticalSection(call, address).take),
    ),
    defineExport('TryEnterCriticalSection', ['pointer'], (call, address) =>
      criticalSection(call, address).take() ? 1 : 0,
    ),
    defineExport('LeaveCriticalSection', ['pointer'], (call, address) =>
      criticalSection(call, address).leave(),
    ),
    defineExport('InitializeSRWLock', ['pointer'], ({ thread, pointerSize }, address) =>
      writePointer(thread.memory, address, 0n, pointerSize),
    ),
    srw('AcquireSRWLockExclusive', 'the exclusive', 'takeExclusive'),
    srw('AcquireSRWLockShared', 'the shared', 'takeShared'),
    defineExport('ReleaseSRWLockExclusive', ['pointer'], (call, address) =>
      srwLock(call, address).leaveExclusive(),
    ),
    defineExport('ReleaseSRWLockShared', ['pointer'], (call, address) =>
      srwLock(call, address).leaveShared(),
    ),
  ];
}
