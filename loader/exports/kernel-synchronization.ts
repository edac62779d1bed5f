import { type Blocked, blocked, IRQL } from '../common/index.js';
import type { CallingConvention, ServiceCall, SimulatedExport } from '../dispatch/index.js';
import { changeThread } from '../threads/index.js';
import { defineExport } from './simulated-export.js';

/** A spin lock is the word at its address: 0 free, 1 held. Waiting for one gives the processor away (modelled: real ones spin). */
function acquire(call: ServiceCall, lock: bigint, result: bigint): Blocked {
  const { memory } = call;
  return blocked({
    reason: `the spin lock at ${call.thread.describe(lock)}`,
    inMemory: true,
    ready: () => {
      if (memory.readU32(lock) !== 0) return undefined;
      memory.writeU32(lock, 1);
      return result;
    },
  });
}

function raise({ thread }: ServiceCall, irql: number): number {
  const before = thread.irql;
  changeThread(thread, { irql: irql });
  return before;
}

/** Spin locks and IRQL of the kernel (wdm.h). */
export function kernelSynchronization(): SimulatedExport[] {
  const acquireToDpc = (name: string, convention?: CallingConvention) =>
    defineExport(
      name,
      ['pointer'],
      (call, lock) => acquire(call, lock, BigInt(raise(call, IRQL.DISPATCH_LEVEL))),
      convention,
    );
  const release = (name: string, convention?: CallingConvention) =>
    defineExport(
      name,
      ['pointer', 'u32'],
      (call, lock, irql) => {
        call.memory.writeU32(lock, 0);
        changeThread(call.thread, { irql: irql & 0xff });
      },
      convention,
    );
  const acquireAtDpc = (name: string, convention?: CallingConvention) =>
    defineExport(name, ['pointer'], (call, lock) => acquire(call, lock, 0n), convention);
  const releaseFromDpc = (name: string, convention?: CallingConvention) =>
    defineExport(name, ['pointer'], (call, lock) => call.memory.writeU32(lock, 0), convention);
  const lower = (name: string, convention?: CallingConvention) =>
    defineExport(
      name,
      ['u32'],
      (call, irql) => {
        changeThread(call.thread, { irql: irql & 0xff });
      },
      convention,
    );
  return [
    defineExport('KeInitializeSpinLock', ['pointer'], (call, lock) => {
      call.memory.writeU32(lock, 0);
    }),
    acquireToDpc('KeAcquireSpinLockRaiseToDpc'),
    release('KeReleaseSpinLock'),
    acquireAtDpc('KeAcquireSpinLockAtDpcLevel'),
    releaseFromDpc('KeReleaseSpinLockFromDpcLevel'),
    // wdm.h of x86 turns the names above into these, which take their arguments in registers.
    acquireToDpc('KfAcquireSpinLock', 'fastcall'),
    release('KfReleaseSpinLock', 'fastcall'),
    acquireAtDpc('KefAcquireSpinLockAtDpcLevel', 'fastcall'),
    releaseFromDpc('KefReleaseSpinLockFromDpcLevel', 'fastcall'),
    defineExport('KfRaiseIrql', ['u32'], (call, irql) => raise(call, irql & 0xff), 'fastcall'),
    lower('KfLowerIrql', 'fastcall'),
    defineExport('KeRaiseIrqlToDpcLevel', [], (call) => raise(call, IRQL.DISPATCH_LEVEL)),
    lower('KeLowerIrql'),
    defineExport('KeGetCurrentIrql', [], ({ thread }) => thread.irql),
    defineExport('KeEnterCriticalRegion', [], () => {}),
    defineExport('KeLeaveCriticalRegion', [], () => {}),
  ];
}
