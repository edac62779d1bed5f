import { type Blocked, blocked, IRQL } from '../common/index.js';
import type { ServiceCall, SimulatedExport } from '../dispatch/index.js';
import { defineExport } from './simulated-export.js';

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

/** Spin locks and IRQL of the kernel (wdm.h). */
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
