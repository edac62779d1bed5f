import { blocked, IRQL } from '../common/index.js';
import type { ServiceCall, SimulatedExport } from '../dispatch/index.js';
import { ERESOURCE, FAST_MUTEX, GENERAL_LOOKASIDE, poolTag, WORK_QUEUE_ITEM } from '../io/index.js';
import { changeThread, type ServiceResult } from '../threads/index.js';
import { worldOf } from './kernel-io.js';
import { defineExport } from './simulated-export.js';

const WORK_ITEM_TAG = poolTag('IoWi');
/** IO_WORKITEM is opaque: a WORK_QUEUE_ITEM, and the device. */
const DEVICE_OF_ITEM = { 8: 0x20n, 4: 0x10n } as const;
const RESOURCE_OWNED_EXCLUSIVE = 0x80;
const LOOKASIDE_DEPTH = 4;
const LOOKASIDE_MAXIMUM_DEPTH = 256;

const currentThread = (call: ServiceCall): bigint => call.kernel.io.threadObject(worldOf(call), call.thread);

/** FAST_MUTEX: Count is 1 when it is free. The IRQL is APC_LEVEL while it is held. */
function fastMutexes(): SimulatedExport[] {
  const at = (call: ServiceCall, address: bigint) => worldOf(call).at(FAST_MUTEX, address);
  const take = (call: ServiceCall, address: bigint, raises: boolean): boolean => {
    const mutex = at(call, address);
    if (mutex.get('Count') !== 1) return false;
    mutex.set('Count', 0);
    mutex.set('Owner', currentThread(call));
    if (raises) {
      mutex.set('OldIrql', call.thread.irql);
      changeThread(call.thread, { irql: Math.max(call.thread.irql, IRQL.APC_LEVEL) });
    }
    return true;
  };
  const acquire = (name: string, raises: boolean) =>
    defineExport(
      name,
      ['pointer'],
      (call, address) =>
        blocked({
          reason: `the fast mutex at ${call.thread.describe(address)}`,
          inMemory: true,
          ready: () => (take(call, address, raises) ? 0n : undefined),
        }),
      'fastcall',
    );
  const release = (name: string, lowers: boolean) =>
    defineExport(
      name,
      ['pointer'],
      (call, address) => {
        const mutex = at(call, address);
        mutex.set('Owner', 0n);
        mutex.set('Count', 1);
        if (lowers) changeThread(call.thread, { irql: mutex.get('OldIrql') & 0xff });
      },
      'fastcall',
    );
  const attempt = (name: string) =>
    defineExport(name, ['pointer'], (call, address) => (take(call, address, true) ? 1 : 0), 'fastcall');
  const initialize = (name: string) =>
    defineExport(name, ['pointer'], (call, address) => {
      call.memory.write(address, new Uint8Array(at(call, address).size));
      at(call, address).set('Count', 1);
    });
  return [
    acquire('ExAcquireFastMutex', true),
    acquire('KeAcquireGuardedMutex', true),
    acquire('ExAcquireFastMutexUnsafe', false),
    release('ExReleaseFastMutex', true),
    release('KeReleaseGuardedMutex', true),
    release('ExReleaseFastMutexUnsafe', false),
    attempt('ExTryToAcquireFastMutex'),
    attempt('KeTryToAcquireGuardedMutex'),
    initialize('KeInitializeGuardedMutex'),
  ];
}

/**
 * ERESOURCE: held by one writer, as often as it likes, or by many readers. OwnerEntry says who, ActiveCount how often; of
 * readers there is only a count (modelled).
 */
function resources(): SimulatedExport[] {
  const at = (call: ServiceCall, address: bigint) => worldOf(call).at(ERESOURCE, address);
  const owner = (call: ServiceCall, address: bigint): bigint =>
    call.memory.readPointer(at(call, address).at('OwnerEntry'));
  const setOwner = (call: ServiceCall, address: bigint, value: bigint): void =>
    call.memory.writePointer(at(call, address).at('OwnerEntry'), value);
  const isExclusive = (call: ServiceCall, address: bigint): boolean =>
    (at(call, address).get('Flag') & RESOURCE_OWNED_EXCLUSIVE) !== 0;
  const isOwn = (call: ServiceCall, address: bigint): boolean =>
    isExclusive(call, address) && owner(call, address) === currentThread(call);
  const hold = (call: ServiceCall, address: bigint): boolean => {
    const resource = at(call, address);
    resource.set('ActiveCount', resource.get('ActiveCount') + 1);
    resource.set('ActiveEntries', 1);
    return true;
  };
  const takeExclusive = (call: ServiceCall, address: bigint): boolean => {
    if (isOwn(call, address)) return hold(call, address);
    const resource = at(call, address);
    if (resource.get('ActiveCount') !== 0) return false;
    resource.set('Flag', resource.get('Flag') | RESOURCE_OWNED_EXCLUSIVE);
    setOwner(call, address, currentThread(call));
    return hold(call, address);
  };
  const takeShared = (call: ServiceCall, address: bigint): boolean =>
    (!isExclusive(call, address) || isOwn(call, address)) && hold(call, address);
  const acquire = (
    call: ServiceCall,
    address: bigint,
    wait: number,
    take: typeof takeShared,
  ): ServiceResult => {
    if ((wait & 0xff) === 0) return take(call, address) ? 1 : 0;
    return blocked({
      reason: `the resource at ${call.thread.describe(address)}`,
      inMemory: true,
      ready: () => (take(call, address) ? 1n : undefined),
    });
  };
  const release = (call: ServiceCall, address: bigint): void => {
    const resource = at(call, address);
    const left = Math.max(0, resource.get('ActiveCount') - 1);
    resource.set('ActiveCount', left);
    if (left !== 0) return;
    resource.set('ActiveEntries', 0);
    resource.set('Flag', resource.get('Flag') & ~RESOURCE_OWNED_EXCLUSIVE);
    setOwner(call, address, 0n);
  };
  return [
    defineExport('ExInitializeResourceLite', ['pointer'], (call, address) => {
      call.memory.write(address, new Uint8Array(at(call, address).size));
      return 0;
    }),
    defineExport('ExReinitializeResourceLite', ['pointer'], (call, address) => {
      call.memory.write(address, new Uint8Array(at(call, address).size));
      return 0;
    }),
    defineExport('ExDeleteResourceLite', ['pointer'], () => 0),
    defineExport('ExAcquireResourceExclusiveLite', ['pointer', 'u32'], (call, address, wait) =>
      acquire(call, address, wait, takeExclusive),
    ),
    defineExport('ExAcquireResourceSharedLite', ['pointer', 'u32'], (call, address, wait) =>
      acquire(call, address, wait, takeShared),
    ),
    defineExport('ExAcquireSharedStarveExclusive', ['pointer', 'u32'], (call, address, wait) =>
      acquire(call, address, wait, takeShared),
    ),
    defineExport('ExEnterCriticalRegionAndAcquireResourceExclusive', ['pointer'], (call, address) =>
      acquire(call, address, 1, takeExclusive),
    ),
    defineExport('ExEnterCriticalRegionAndAcquireResourceShared', ['pointer'], (call, address) =>
      acquire(call, address, 1, takeShared),
    ),
    defineExport('ExReleaseResourceLite', ['pointer'], release, 'fastcall'),
    defineExport('ExReleaseResourceAndLeaveCriticalRegion', ['pointer'], release, 'fastcall'),
    defineExport('ExReleaseResourceForThreadLite', ['pointer', 'pointer'], (call, address) =>
      release(call, address),
    ),
    defineExport('ExConvertExclusiveToSharedLite', ['pointer'], (call, address) => {
      const resource = at(call, address);
      resource.set('Flag', resource.get('Flag') & ~RESOURCE_OWNED_EXCLUSIVE);
      setOwner(call, address, 0n);
    }),
    defineExport('ExIsResourceAcquiredExclusiveLite', ['pointer'], (call, address) =>
      isOwn(call, address) ? 1 : 0,
    ),
    defineExport('ExIsResourceAcquiredSharedLite', ['pointer'], (call, address) =>
      isExclusive(call, address) && !isOwn(call, address) ? 0 : at(call, address).get('ActiveCount'),
    ),
  ];
}

/** A lookaside list starts empty: the inline functions of the kit pop and push entries, and call Allocate and Free. */
function lookasideLists(): SimulatedExport[] {
  const initialize = (
    call: ServiceCall,
    list: bigint,
    how: { allocate: bigint; free: bigint; type: number; size: bigint; tag: number },
  ): void => {
    const { services } = call.domain;
    const lookaside = worldOf(call).at(GENERAL_LOOKASIDE, list);
    call.memory.write(list, new Uint8Array(lookaside.size));
    lookaside.set('Depth', LOOKASIDE_DEPTH);
    lookaside.set('MaximumDepth', LOOKASIDE_MAXIMUM_DEPTH);
    lookaside.set('Type', how.type);
    lookaside.set('Tag', how.tag);
    lookaside.set('Size', how.size);
    const byDefault = (given: bigint, name: string) =>
      given === 0n ? services.address('ntoskrnl.exe', name) : given;
    lookaside.set('AllocateEx', byDefault(how.allocate, 'ExAllocatePoolWithTag'));
    lookaside.set('FreeEx', byDefault(how.free, 'ExFreePool'));
  };
  const define = (name: string, type: number) =>
    defineExport(
      name,
      ['pointer', 'pointer', 'pointer', 'u32', 'size', 'u32', 'u32'],
      (call, list, allocate, free, _flags, size, tag) =>
        initialize(call, list, { allocate, free, type, size, tag }),
    );
  // (Lookaside, Allocate, Free, PoolType, Flags, Size, Tag, Depth)
  const extended = defineExport(
    'ExInitializeLookasideListEx',
    ['pointer', 'pointer', 'pointer', 'u32', 'u32', 'size', 'u32', 'u32'],
    (call, list, allocate, free, type, _flags, size, tag) => {
      initialize(call, list, { allocate, free, type, size, tag });
      return 0;
    },
  );
  /** The entries that were kept go back: the list is of single links behind a header. */
  const remove = (name: string) =>
    defineExport(name, ['pointer'], (call, list) => {
      const { memory, pointerSize } = call;
      const first = pointerSize === 8 ? memory.readU64(list + 8n) & ~15n : BigInt(memory.readU32(list));
      memory.write(list, new Uint8Array(2 * pointerSize));
      for (let at = first; at !== 0n; ) {
        const next = memory.readPointer(at);
        worldOf(call).pool.free(at, 0);
        at = next;
      }
    });
  return [
    define('ExInitializeNPagedLookasideList', 0),
    define('ExInitializePagedLookasideList', 1),
    extended,
    remove('ExDeleteNPagedLookasideList'),
    remove('ExDeletePagedLookasideList'),
    remove('ExDeleteLookasideListEx'),
  ];
}

/** Work items run on a system thread of their own at PASSIVE_LEVEL (modelled: Windows has a pool of workers). */
function workItems(): SimulatedExport[] {
  const start = (call: ServiceCall, routine: bigint, parameters: readonly bigint[]): void =>
    void call.kernel.io.startSystemThread(worldOf(call), routine, parameters, 'worker');
  return [
    defineExport('IoAllocateWorkItem', ['pointer'], (call, device) => {
      const world = worldOf(call);
      const item = world.allocate(WORK_QUEUE_ITEM, WORK_ITEM_TAG, 2 * world.pointerSize);
      if (item === undefined) return 0n;
      world.memory.writePointer(item.address + DEVICE_OF_ITEM[world.pointerSize], device);
      return item.address;
    }),
    defineExport('IoFreeWorkItem', ['pointer'], (call, item) => worldOf(call).pool.free(item, WORK_ITEM_TAG)),
    defineExport(
      'IoSizeofWorkItem',
      [],
      (call) => worldOf(call).at(WORK_QUEUE_ITEM, 0n).size + 2 * call.pointerSize,
    ),
    defineExport('IoInitializeWorkItem', ['pointer', 'pointer'], (call, device, item) => {
      const world = worldOf(call);
      world.memory.writePointer(item + DEVICE_OF_ITEM[world.pointerSize], device);
    }),
    defineExport(
      'IoQueueWorkItem',
      ['pointer', 'pointer', 'u32', 'pointer'],
      (call, item, routine, _queue, context) => {
        const world = worldOf(call);
        const device = world.memory.readPointer(item + DEVICE_OF_ITEM[world.pointerSize]);
        start(call, routine, [device, context]);
      },
    ),
    // (IoObject, Context, IoWorkItem)
    defineExport(
      'IoQueueWorkItemEx',
      ['pointer', 'pointer', 'u32', 'pointer'],
      (call, item, routine, _queue, context) => {
        const world = worldOf(call);
        const device = world.memory.readPointer(item + DEVICE_OF_ITEM[world.pointerSize]);
        start(call, routine, [device, context, item]);
      },
    ),
    defineExport('ExQueueWorkItem', ['pointer', 'u32'], (call, address) => {
      const item = worldOf(call).at(WORK_QUEUE_ITEM, address);
      start(call, item.wide('WorkerRoutine'), [item.wide('Parameter')]);
    }),
  ];
}

/** Locks and pools of the executive (wdm.h). */
export function kernelResources(): SimulatedExport[] {
  return [...fastMutexes(), ...resources(), ...lookasideLists(), ...workItems()];
}
