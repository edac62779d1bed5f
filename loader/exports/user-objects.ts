import { type Blocked, blocked } from '../common/index.js';
import type { ServiceCall, SimulatedExport } from '../dispatch/index.js';
import { EventObject, MutexObject, Process, SemaphoreObject } from '../processes/index.js';
import { type GuestProcedure, Thread } from '../threads/index.js';
import { fail, setLastError } from './disk-access.js';
import { defineExport } from './simulated-export.js';
import { deadline, waitableOf } from './user-synchronization.js';

const WAIT_TIMEOUT = 0x102n;
const WAIT_FAILED = 0xffff_ffffn;
const MAXIMUM_WAIT_OBJECTS = 64;
const ERROR = {
  invalidHandle: 6,
  notOwner: 288,
  tooManyPosts: 298,
  invalidParameter: 87,
  timeout: 1460,
  callNotImplemented: 120,
} as const;
const STILL_ACTIVE = 259;

function waitMultiple(
  call: ServiceCall,
  count: number,
  array: bigint,
  all: boolean,
  milliseconds: number,
): Blocked | bigint {
  if (count === 0 || count > MAXIMUM_WAIT_OBJECTS) return fail(call, ERROR.invalidParameter, WAIT_FAILED);
  const { memory, pointerSize } = call;
  const handles = Array.from({ length: count }, (_, index) =>
    memory.readPointer(array + BigInt(index * pointerSize)),
  );
  const objects = handles.map((handle) => waitableOf(call, handle));
  if (objects.includes(undefined)) return fail(call, ERROR.invalidHandle, WAIT_FAILED);
  const waitables = objects.filter((object) => object !== undefined);
  return blocked({
    reason: `${all ? 'all' : 'one'} of the handles ${handles.join(', ')}`,
    ready: () => {
      if (all) {
        if (!waitables.every((object) => object.isSignalled())) return undefined;
        for (const object of waitables) object.take();
        return 0n;
      }
      const index = waitables.findIndex((object) => object.isSignalled());
      if (index < 0) return undefined;
      waitables[index]?.take();
      return BigInt(index);
    },
    timeoutResult: WAIT_TIMEOUT,
    ...deadline(call, milliseconds),
  });
}

/** CONDITION_VARIABLE: a word that counts the wake-ups; who sleeps remembers the count that it saw (modelled). */
function* sleepOn(
  call: ServiceCall,
  variable: bigint,
  milliseconds: number,
  leave: () => void,
  enter: () => boolean,
): GuestProcedure {
  const { memory } = call;
  leave();
  const before = memory.readPointer(variable);
  const end = deadline(call, milliseconds).deadline;
  let state: 'sleeping' | 'woken' | 'late' = 'sleeping';
  const wait: Blocked = blocked({
    reason: `the condition variable at ${call.thread.describe(variable)}`,
    ready: () => {
      const now = memory.readPointer(variable);
      if (state === 'sleeping' && now !== before) state = 'woken';
      if (state === 'sleeping' && end !== undefined && call.kernel.scheduler.time >= end) state = 'late';
      if (state === 'sleeping' || !enter()) return undefined;
      if (state === 'late') setLastError(call, ERROR.timeout);
      return state === 'woken' ? 1n : 0n;
    },
    ...(end === undefined ? {} : { deadline: end, timeoutResult: 0n }),
  });
  yield* [];
  return wait;
}

/** Mutexes, semaphores, condition variables, one-time initialisation and waiting for several (synchapi.h, processthreadsapi.h). */
export function userObjects(locks: {
  critical(call: ServiceCall, address: bigint): { take(): boolean; leave(): void };
  srw(
    call: ServiceCall,
    address: bigint,
  ): { takeExclusive(): boolean; takeShared(): boolean; leaveExclusive(): void; leaveShared(): void };
}): SimulatedExport[] {
  const open = ({ process }: ServiceCall, object: object) => process.handles.open(object);
  const created = (call: ServiceCall, object: object) => {
    setLastError(call, 0);
    return open(call, object);
  };
  const wake = (name: string) =>
    defineExport(name, ['pointer'], ({ memory }, variable) => {
      memory.writePointer(variable, memory.readPointer(variable) + 1n);
    });
  const named = ([1, 2] as const).flatMap((unit) => {
    const letter = unit === 1 ? 'A' : 'W';
    return [
      defineExport(
        `CreateEvent${letter}`,
        ['pointer', 'u32', 'u32', 'pointer'],
        (call, _security, manual, initial) => created(call, new EventObject(manual !== 0, initial !== 0)),
      ),
      defineExport(
        `CreateEventEx${letter}`,
        ['pointer', 'pointer', 'u32', 'u32'],
        (call, _security, _name, flags) =>
          created(call, new EventObject((flags & 1) !== 0, (flags & 2) !== 0)),
      ),
      defineExport(`CreateMutex${letter}`, ['pointer', 'u32', 'pointer'], (call, _security, owned) => {
        const mutex = new MutexObject();
        if (owned !== 0) mutex.take(call.thread.id);
        return created(call, mutex);
      }),
      defineExport(
        `CreateMutexEx${letter}`,
        ['pointer', 'pointer', 'u32', 'u32'],
        (call, _security, _name, flags) => {
          const mutex = new MutexObject();
          if ((flags & 1) !== 0) mutex.take(call.thread.id);
          return created(call, mutex);
        },
      ),
      defineExport(
        `CreateSemaphoreEx${letter}`,
        ['pointer', 'i32', 'i32', 'pointer', 'u32', 'u32'],
        (call, _security, initial, maximum) => created(call, new SemaphoreObject(initial, maximum)),
      ),
      defineExport(
        `CreateSemaphore${letter}`,
        ['pointer', 'i32', 'i32', 'pointer'],
        (call, _security, initial, maximum) =>
          maximum <= 0 || initial < 0 || initial > maximum
            ? fail(call, ERROR.invalidParameter, 0)
            : created(call, new SemaphoreObject(initial, maximum)),
      ),
    ];
  });
  return [
    ...named,
    defineExport('ReleaseMutex', ['pointer'], (call, handle) => {
      const mutex = call.process.handles.get(handle, MutexObject);
      if (mutex === undefined) return fail(call, ERROR.invalidHandle, 0);
      return mutex.release(call.thread.id) ? 1 : fail(call, ERROR.notOwner, 0);
    }),
    defineExport('ReleaseSemaphore', ['pointer', 'i32', 'pointer'], (call, handle, count, previous) => {
      const semaphore = call.process.handles.get(handle, SemaphoreObject);
      if (semaphore === undefined) return fail(call, ERROR.invalidHandle, 0);
      if (previous !== 0n) call.memory.writeU32(previous, semaphore.count);
      return semaphore.release(count) ? 1 : fail(call, ERROR.tooManyPosts, 0);
    }),
    defineExport('PulseEvent', ['pointer'], (call, handle) => {
      const event = call.process.handles.get(handle, EventObject);
      event?.set();
      call.kernel.scheduler.wake();
      event?.reset();
      return event === undefined ? fail(call, ERROR.invalidHandle, 0) : 1;
    }),
    defineExport(
      'WaitForMultipleObjects',
      ['u32', 'pointer', 'u32', 'u32'],
      (call, count, array, all, milliseconds) => waitMultiple(call, count, array, all !== 0, milliseconds),
    ),
    defineExport(
      'WaitForMultipleObjectsEx',
      ['u32', 'pointer', 'u32', 'u32', 'u32'],
      (call, count, array, all, milliseconds) => waitMultiple(call, count, array, all !== 0, milliseconds),
    ),
    defineExport('InitializeConditionVariable', ['pointer'], ({ memory }, variable) =>
      memory.writePointer(variable, 0n),
    ),
    wake('WakeConditionVariable'),
    wake('WakeAllConditionVariable'),
    defineExport(
      'SleepConditionVariableCS',
      ['pointer', 'pointer', 'u32'],
      (call, variable, section, milliseconds) => {
        const lock = locks.critical(call, section);
        return sleepOn(
          call,
          variable,
          milliseconds,
          () => lock.leave(),
          () => lock.take(),
        );
      },
    ),
    defineExport(
      'SleepConditionVariableSRW',
      ['pointer', 'pointer', 'u32', 'u32'],
      (call, variable, address, milliseconds, flags) => {
        const lock = locks.srw(call, address);
        const isShared = (flags & 1) !== 0;
        return sleepOn(
          call,
          variable,
          milliseconds,
          () => (isShared ? lock.leaveShared() : lock.leaveExclusive()),
          () => (isShared ? lock.takeShared() : lock.takeExclusive()),
        );
      },
    ),
    defineExport('TryAcquireSRWLockExclusive', ['pointer'], (call, address) =>
      locks.srw(call, address).takeExclusive() ? 1 : 0,
    ),
    defineExport('TryAcquireSRWLockShared', ['pointer'], (call, address) =>
      locks.srw(call, address).takeShared() ? 1 : 0,
    ),
    defineExport('InitOnceInitialize', ['pointer'], ({ memory }, once) => memory.writePointer(once, 0n)),
    defineExport('InitOnceExecuteOnce', ['pointer', 'pointer', 'pointer', 'pointer'], initOnce),
    // Lab randomness and identity aside, other processes are nobody's business here.
    defineExport('OpenProcess', ['u32', 'u32', 'u32'], (call, _access, _inherit, id) =>
      id === call.process.id ? open(call, call.process) : fail(call, ERROR.invalidParameter, 0),
    ),
    defineExport('GetExitCodeProcess', ['pointer', 'pointer'], (call, handle, target) => {
      const process = call.process.handles.get(handle, Process) ?? call.process;
      call.memory.writeU32(target, process.exitStatus ?? STILL_ACTIVE);
      return 1;
    }),
    defineExport('GetExitCodeThread', ['pointer', 'pointer'], (call, handle, target) => {
      const thread = call.process.handles.get(handle, Thread) ?? call.thread;
      call.memory.writeU32(
        target,
        thread.finished ? Number((thread.returnValue ?? 0n) & 0xffff_ffffn) : STILL_ACTIVE,
      );
      return 1;
    }),
    defineExport(
      'GetThreadId',
      ['pointer'],
      (call, handle) => (call.process.handles.get(handle, Thread) ?? call.thread).id,
    ),
    defineExport('SwitchToThread', [], () => 1),
    defineExport('SleepEx', ['u32', 'u32'], (call, milliseconds) =>
      blocked({
        reason: 'its sleep to end',
        inMemory: true,
        ready: () => undefined,
        timeoutResult: 0n,
        ...deadline(call, milliseconds),
      }),
    ),
    defineExport('SetThreadPriority', ['pointer', 'i32'], () => 1),
    defineExport('GetThreadPriority', ['pointer'], () => 0),
    defineExport(
      'SetThreadAffinityMask',
      ['pointer', 'size'],
      ({ kernel }) => (1 << kernel.machine.processors.length) - 1,
    ),
    defineExport('GetCurrentProcessorNumber', [], ({ processor }) => processor.index),
    defineExport(
      'DuplicateHandle',
      ['pointer', 'pointer', 'pointer', 'pointer', 'u32', 'u32', 'u32'],
      (call, _from, source, _to, target, _access, _inherit, options) => {
        const { handles } = call.process;
        const own =
          source === BigInt.asUintN(8 * call.pointerSize, -2n)
            ? call.thread
            : source === BigInt.asUintN(8 * call.pointerSize, -1n)
              ? call.process
              : handles.get(source, Object);
        if (own === undefined) return fail(call, ERROR.invalidHandle, 0);
        call.memory.writePointer(target, BigInt(handles.open(own)));
        if ((options & 1) !== 0) handles.forget(source);
        return 1;
      },
    ),
    defineExport('SetHandleInformation', ['pointer', 'u32', 'u32'], () => 1),
    defineExport('GetHandleInformation', ['pointer', 'pointer'], ({ memory }, _handle, flags) => {
      memory.writeU32(flags, 0);
      return 1;
    }),
    ...[
      ['CreatePipe', 4],
      ['PeekNamedPipe', 6],
    ].map(([name, count]) =>
      defineExport(
        String(name),
        Array.from({ length: Number(count) }, () => 'pointer' as const),
        (call) => fail(call, ERROR.callNotImplemented, 0),
      ),
    ),
    defineExport('GetCurrentThreadStackLimits', ['pointer', 'pointer'], ({ memory, thread }, low, high) => {
      memory.writePointer(low, thread.stack.base);
      memory.writePointer(high, thread.stack.end);
    }),
  ];
}

const DONE = 2n;

/** INIT_ONCE: 0, or the context with the bit "done"; one thread runs the function while the others wait. */
function* initOnce(
  call: ServiceCall,
  once: bigint,
  routine: bigint,
  parameter: bigint,
  context: bigint,
): GuestProcedure {
  const { memory } = call;
  const state = memory.readPointer(once);
  if ((state & 3n) === DONE) {
    if (context !== 0n) memory.writePointer(context, state & ~3n);
    return 1;
  }
  memory.writePointer(once, 1n);
  const result = BigInt.asUintN(32, yield { target: routine, arguments: [once, parameter, context] });
  if (result === 0n) {
    memory.writePointer(once, 0n);
    return 0;
  }
  const given = context === 0n ? 0n : memory.readPointer(context);
  memory.writePointer(once, (given & ~3n) | DONE);
  return 1;
}
