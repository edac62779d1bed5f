import { PAGE_FAULT_IN_NONPAGED_AREA } from '../common/index.js';
import { GuestAccessViolation } from '../memory/index.js';
import type { GuestCall, Thread } from '../threads/index.js';
import { FO, IRP_FLAGS, isError, isSuccess, poolTag, SL, STATUS } from './constants.js';
import { currentLocation, freeIrp, type IrpObject, isCompleted } from './irp.js';
import { FILE_OBJECT, IO_STACK_LOCATION, IO_STATUS_BLOCK, KEVENT } from './layouts.js';
import { freeMdl, mdlAt, unlockPages } from './mdl.js';
import { Structure, sizeOf } from './structure.js';
import type { IoWorld } from './world.js';

export const SYSTEM_BUFFER_TAG = poolTag('IoSB');

/** What the completion of an IRP cannot go on with: what the system stops with. */
export interface Stop {
  readonly code: number;
  readonly parameters: readonly bigint[];
  readonly text: string;
}

/** Who asked for the request; undefined when that thread is no more. */
type FindRequestor = (world: IoWorld, irp: IrpObject) => Thread | undefined;

export const MULTIPLE_IRP_COMPLETE_REQUESTS = 0x44;

/** Calls the completion routines from the current location up; the last value says whether the IRP is the requestor's again. */
export function* callCompletionRoutines(
  world: IoWorld,
  irp: IrpObject,
): Generator<GuestCall, boolean, bigint> {
  const size = BigInt(sizeOf(IO_STACK_LOCATION, world.pointerSize));
  const behind = irp.get('StackCount') + 1;
  while (irp.get('CurrentLocation') < behind) {
    const location = currentLocation(world, irp);
    const control = location.get('Control');
    const [routine, context] = [location.wide('CompletionRoutine'), location.wide('Context')];
    irp.set('CurrentLocation', irp.get('CurrentLocation') + 1);
    irp.set('Tail.Overlay.CurrentStackLocation', location.address + size);
    irp.set('PendingReturned', control & SL.PENDING_RETURNED);
    const isLast = irp.get('CurrentLocation') >= behind;
    const wanted =
      (isSuccess(irp.get('IoStatus.Status'))
        ? control & SL.INVOKE_ON_SUCCESS
        : control & SL.INVOKE_ON_ERROR) | (irp.get('Cancel') !== 0 ? control & SL.INVOKE_ON_CANCEL : 0);
    if (routine !== 0n && wanted !== 0) {
      const device = isLast ? 0n : currentLocation(world, irp).wide('DeviceObject');
      const result = yield { target: routine, arguments: [device, irp.address, context] };
      if (Number(BigInt.asUintN(32, result)) === STATUS.MORE_PROCESSING_REQUIRED) return false;
    } else if (!isLast && (control & SL.PENDING_RETURNED) !== 0) {
      const next = currentLocation(world, irp);
      next.set('Control', next.get('Control') | SL.PENDING_RETURNED);
    }
  }
  return true;
}

/** The part of IoCompleteRequest that gives the requestor its results (in Windows a kernel APC of its thread does it). */
export class Completion {
  constructor(
    private readonly findRequestor: FindRequestor,
    /** The last request of a file that no handle leads to any more is completed. */
    private readonly lastRequest: (world: IoWorld, file: bigint) => void,
  ) {}

  /** Why this IRP must not be completed (again). */
  refusal(irp: IrpObject): Stop | undefined {
    if (!isCompleted(irp)) return undefined;
    return {
      code: MULTIPLE_IRP_COMPLETE_REQUESTS,
      parameters: [irp.address, 0n, 0n, 0n],
      text: `the IRP at 0x${irp.address.toString(16)} is completed twice`,
    };
  }

  /** @returns what the system must stop with, or undefined */
  finish(world: IoWorld, irp: IrpObject): Stop | undefined {
    irp.set('CurrentLocation', irp.get('StackCount') + 2);
    const requestor = this.findRequestor(world, irp);
    const file = irp.wide('Tail.Overlay.OriginalFileObject');
    let status = irp.get('IoStatus.Status');
    const information = irp.wide('IoStatus.Information');
    this.#releaseMdls(world, irp);
    const delivers =
      !isError(status) || (irp.get('PendingReturned') !== 0 && !isSynchronous(world, irp, file));
    if ((irp.get('Flags') & IRP_FLAGS.BUFFERED_IO) !== 0) {
      const copied =
        delivers && !isError(status) ? copyOut(world, irp, requestor, information) : STATUS.SUCCESS;
      if (typeof copied !== 'number') return copied;
      if (isError(copied)) status = copied;
      const buffer = irp.wide('AssociatedIrp.SystemBuffer');
      if ((irp.get('Flags') & IRP_FLAGS.DEALLOCATE_BUFFER) !== 0 && buffer !== 0n)
        world.give(buffer, SYSTEM_BUFFER_TAG);
    }
    if (delivers) status = writeStatusBlock(irp, requestor, world, status, information);
    this.#signal(world, irp, file, status, information);
    const isDrivers = irp.wide('Tail.Overlay.Thread') === 0n;
    if (!isDrivers) freeIrp(world, irp.address);
    return undefined;
  }

  #signal(world: IoWorld, irp: IrpObject, file: bigint, status: number, information: bigint): void {
    const event = irp.wide('UserEvent');
    if (event !== 0n) world.at(KEVENT, event).set('Header.SignalState', 1);
    if (file === 0n) return;
    const object = world.at(FILE_OBJECT, file);
    object.set('FinalStatus', status);
    const transfers = IRP_FLAGS.READ_OPERATION | IRP_FLAGS.WRITE_OPERATION;
    if (
      (object.get('Flags') & FO.SYNCHRONOUS_IO) !== 0 &&
      (irp.get('Flags') & transfers) !== 0 &&
      !isError(status)
    )
      object.set('CurrentByteOffset', object.wide('CurrentByteOffset') + information);
    world.at(KEVENT, object.at('Event')).set('Header.SignalState', 1);
    const requests = object.at('IrpList');
    const own = irp.at('ThreadListEntry');
    world.lists.remove(own);
    // A request that is completed a second time leads nowhere.
    world.lists.initialize(own);
    const isClosed = (object.get('Flags') & FO.CLEANUP_COMPLETE) !== 0;
    const isOwn = (irp.get('Flags') & IRP_FLAGS.CLOSE_OPERATION) !== 0;
    if (isClosed && !isOwn && world.lists.entries(requests).length === 0) this.lastRequest(world, file);
  }

  #releaseMdls(world: IoWorld, irp: IrpObject): void {
    for (let address = irp.wide('MdlAddress'); address !== 0n; ) {
      const mdl = mdlAt(world, address);
      const next = mdl.wide('Next');
      unlockPages(world.domain.machine, world, mdl);
      freeMdl(world, mdl);
      address = next;
    }
    irp.set('MdlAddress', 0n);
  }
}

function isSynchronous(world: IoWorld, irp: IrpObject, file: bigint): boolean {
  if ((irp.get('Flags') & IRP_FLAGS.SYNCHRONOUS_API) !== 0) return true;
  return file !== 0n && (world.at(FILE_OBJECT, file).get('Flags') & FO.SYNCHRONOUS_IO) !== 0;
}

/**
 * The system buffer into the requestor's: as many bytes as Information says, however large the buffers are. What lies
 * behind the system buffer goes along, as on Windows.
 */
function copyOut(
  world: IoWorld,
  irp: IrpObject,
  requestor: Thread | undefined,
  information: bigint,
): number | Stop {
  if ((irp.get('Flags') & IRP_FLAGS.INPUT_OPERATION) === 0 || information === 0n) return STATUS.SUCCESS;
  if (requestor === undefined) return STATUS.SUCCESS;
  const from = irp.wide('AssociatedIrp.SystemBuffer');
  let bytes: Uint8Array;
  try {
    world.memory.probe(from, information, 'read');
    bytes = world.memory.read(from, information);
  } catch (error) {
    if (!(error instanceof GuestAccessViolation)) throw error;
    return {
      code: PAGE_FAULT_IN_NONPAGED_AREA,
      parameters: [error.address, 0n, 0n, 0n],
      text: `IoStatus.Information is 0x${information.toString(16)}, which is more than the system buffer at 0x${from.toString(16)} holds`,
    };
  }
  try {
    requestor.memory.write(irp.wide('UserBuffer'), bytes);
    return STATUS.SUCCESS;
  } catch (error) {
    if (error instanceof GuestAccessViolation) return STATUS.ACCESS_VIOLATION;
    throw error;
  }
}

/** IO_STATUS_BLOCK in the requestor's own layout: a 32-bit program has a small one. */
function writeStatusBlock(
  irp: IrpObject,
  requestor: Thread | undefined,
  world: IoWorld,
  status: number,
  information: bigint,
): number {
  const address = irp.wide('UserIosb');
  if (address === 0n) return status;
  const isUser = irp.get('RequestorMode') !== 0;
  if (isUser && requestor === undefined) return status;
  const memory = isUser && requestor !== undefined ? requestor.memory : world.memory;
  try {
    const block = new Structure(IO_STATUS_BLOCK, memory, address, memory.pointerSize);
    block.set('Information', information);
    block.set('Status', status);
    return status;
  } catch (error) {
    if (error instanceof GuestAccessViolation) return STATUS.ACCESS_VIOLATION;
    throw error;
  }
}
