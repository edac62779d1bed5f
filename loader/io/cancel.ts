import { type Blocked, blocked, IRQL } from '../common/index.js';
import type { Thread } from '../threads/index.js';
import { STATUS } from './constants.js';
import type { DeviceFile } from './device-file.js';
import type { IoCaller } from './io-caller.js';
import type { IoCore } from './io-core.js';
import { currentLocation, type IrpObject, irpAt } from './irp.js';
import { IO_STATUS_BLOCK, IRP } from './layouts.js';
import { Structure } from './structure.js';
import type { IoWorld } from './world.js';

/** The IRPs that are under way on a file. */
export function requestsOf({ world, object }: DeviceFile): IrpObject[] {
  const offset = irpAt(world, 0n).at('ThreadListEntry');
  return world.lists.entries(object.at('IrpList')).map((entry) => world.at(IRP, entry - offset));
}

/**
 * The first half of IoCancelIrp, with the cancel spin lock held: marks the IRP and takes its cancel routine.
 * @returns the routine; 0 when the IRP cannot be cancelled now
 */
export function markCancelled(irp: IrpObject): bigint {
  irp.set('Cancel', 1);
  const routine = irp.wide('CancelRoutine');
  irp.set('CancelRoutine', 0n);
  return routine;
}

/** The arguments of a cancel routine, which runs at DISPATCH_LEVEL with the cancel spin lock and gives it back. */
export function cancelArguments(world: IoWorld, irp: IrpObject, irql: number): readonly bigint[] {
  irp.set('CancelIrql', irql);
  return [currentLocation(world, irp).wide('DeviceObject'), irp.address];
}

/**
 * NtCancelIoFile and NtCancelIoFileEx: cancels requests one after the other. The first waits until they are completed.
 */
export function cancelRequests(
  io: IoCore,
  call: IoCaller,
  file: DeviceFile,
  wanted: { readonly ownOnly: boolean; readonly request: bigint; readonly statusBlock: bigint },
): Blocked | number {
  const { world } = file;
  const own = io.threadObject(world, call.thread);
  call.memory.probe(wanted.statusBlock, 2 * call.pointerSize, 'write');
  const chosen = () =>
    requestsOf(file).filter(
      (irp) =>
        (!wanted.ownOnly || irp.wide('Tail.Overlay.Thread') === own) &&
        (wanted.request === 0n || irp.wide('UserIosb') === wanted.request),
    );
  const finish = (status: number): number => {
    const block = new Structure(IO_STATUS_BLOCK, call.memory, wanted.statusBlock, call.pointerSize);
    block.set('Status', status);
    block.set('Information', 0n);
    return status;
  };
  if (chosen().length === 0) return finish(wanted.ownOnly ? STATUS.SUCCESS : STATUS.NOT_FOUND);
  const cancelling = cancelEach(io, call, file, chosen);
  return blocked({
    reason: 'its requests to be cancelled',
    ready: () => {
      if (cancelling() === undefined) return undefined;
      return wanted.ownOnly && chosen().length > 0 ? undefined : BigInt(finish(STATUS.SUCCESS));
    },
  });
}

/** Cancels every request of a file that can be cancelled. */
export function cancelAll(io: IoCore, call: IoCaller, file: DeviceFile): Blocked {
  const cancelling = cancelEach(io, call, file, () => requestsOf(file));
  return blocked({ reason: 'requests to be cancelled', ready: cancelling });
}

/** To be asked again and again: 0 when no request is left that is not marked as cancelled. */
function cancelEach(
  io: IoCore,
  call: IoCaller,
  { world }: DeviceFile,
  chosen: () => IrpObject[],
): () => bigint | undefined {
  let running: Thread | undefined;
  return () => {
    if (running !== undefined && io.ended(call.thread, running) === undefined) return undefined;
    running = undefined;
    const next = chosen().find((irp) => irp.get('Cancel') === 0);
    if (next === undefined) return 0n;
    if (world.memory.readU32(world.cancelSpinLock) !== 0) return undefined;
    const target = markCancelled(next);
    if (target === 0n) return undefined;
    world.memory.writeU32(world.cancelSpinLock, 1);
    running = io.callKernel(call.thread, 'kernel', world, {
      target,
      arguments: cancelArguments(world, next, IRQL.PASSIVE_LEVEL),
      irql: IRQL.DISPATCH_LEVEL,
    });
    return undefined;
  };
}
