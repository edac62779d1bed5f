import { type Blocked, blocked } from '../common/index.js';
import { GuestAccessViolation } from '../memory/index.js';
import type { Thread } from '../threads/index.js';
import { SYSTEM_BUFFER_TAG } from './completion.js';
import { FO, IRP_FLAGS, isError, METHOD, poolTag, STATUS } from './constants.js';
import type { DeviceFile } from './device-file.js';
import type { DeviceObject } from './devices.js';
import type { IoCaller } from './io-caller.js';
import type { IoCore, Mode } from './io-core.js';
import { allocateIrp, freeIrp, type IrpObject, nextLocation, type StackLocation } from './irp.js';
import { FILE_OBJECT, KEVENT } from './layouts.js';
import { allocateMdl, freeMdl, lockPages } from './mdl.js';
import type { IoWorld } from './world.js';

export const FILE_TAG = poolTag('File');
export const NAME_TAG = poolTag('IoNm');

/** What every request of a file has. */
export interface RequestParts {
  readonly major: number;
  /** IRP.Flags */
  readonly flags: number;
  /** IO_STATUS_BLOCK of the requestor; 0 for none. */
  readonly statusBlock: bigint;
  /** KEVENT to set; 0 for none. */
  readonly event: bigint;
}

export interface TransferParts {
  readonly method: number;
  readonly input: { readonly address: bigint; readonly length: number };
  readonly output: { readonly address: bigint; readonly length: number };
}

/** Makes IRPs for the threads of programs and drivers, sends them, and waits for them. */
export class Requests {
  constructor(private readonly io: IoCore) {}

  /** An IRP for a file on the device on top of its stack; undefined when there is no memory. */
  make(
    call: IoCaller,
    mode: Mode,
    { world, address: file }: Pick<DeviceFile, 'world' | 'address'>,
    { major, flags, statusBlock, event }: RequestParts,
  ):
    | { readonly irp: IrpObject; readonly location: StackLocation; readonly device: DeviceObject }
    | undefined {
    const device = world.devices.top(world.at(FILE_OBJECT, file).wide('DeviceObject'));
    const irp = allocateIrp(world, device.get('StackSize'), this.io.client(call.thread).id);
    if (irp === undefined) return undefined;
    irp.set('Flags', flags);
    irp.set('RequestorMode', mode === 'user' ? 1 : 0);
    irp.set('UserIosb', statusBlock);
    irp.set('UserEvent', event);
    irp.set('Tail.Overlay.Thread', this.io.threadObject(world, call.thread));
    irp.set('Tail.Overlay.OriginalFileObject', file);
    const location = nextLocation(world, irp);
    location.set('MajorFunction', major);
    location.set('FileObject', file);
    return { irp, location, device };
  }

  /**
   * The buffers of a request, by its transfer method.
   * @returns an error status; the IRP has nothing to release then
   */
  attachBuffers(
    call: IoCaller,
    world: IoWorld,
    irp: IrpObject,
    location: StackLocation,
    { method, input, output }: TransferParts,
  ): number {
    if (method === METHOD.NEITHER) {
      irp.set('UserBuffer', output.address);
      location.set('Parameters.DeviceIoControl.Type3InputBuffer', input.address);
      return STATUS.SUCCESS;
    }
    const isBuffered = method === METHOD.BUFFERED;
    const size = isBuffered ? Math.max(input.length, output.length) : input.length;
    if (size > 0) {
      const buffer = world.take(size, SYSTEM_BUFFER_TAG, this.io.client(call.thread).id);
      if (buffer === 0n) return STATUS.INSUFFICIENT_RESOURCES;
      irp.set('AssociatedIrp.SystemBuffer', buffer);
      const copiesBack = isBuffered && output.length > 0 ? IRP_FLAGS.INPUT_OPERATION : 0;
      irp.set('Flags', irp.get('Flags') | IRP_FLAGS.BUFFERED_IO | IRP_FLAGS.DEALLOCATE_BUFFER | copiesBack);
      if (isBuffered) irp.set('UserBuffer', output.address);
      if (input.length > 0) world.memory.write(buffer, call.memory.read(input.address, input.length));
    }
    if (isBuffered || output.length === 0) return STATUS.SUCCESS;
    return this.attachMdl(call, world, irp, output, method === METHOD.IN_DIRECT ? 'read' : 'write');
  }

  /** The pages of a buffer, locked for the driver. */
  attachMdl(
    call: IoCaller,
    world: IoWorld,
    irp: IrpObject,
    { address, length }: { readonly address: bigint; readonly length: number },
    access: 'read' | 'write',
  ): number {
    const mdl = allocateMdl(world, address, length, this.io.client(call.thread).id);
    if (mdl === undefined) return STATUS.INSUFFICIENT_RESOURCES;
    try {
      lockPages(world.domain.machine, mdl, call.thread, access);
    } catch (error) {
      freeMdl(world, mdl);
      throw error;
    }
    irp.set('MdlAddress', mdl.address);
    return STATUS.SUCCESS;
  }

  /** Takes an IRP back that was never sent. */
  discard(world: IoWorld, irp: IrpObject): void {
    const buffer = irp.wide('AssociatedIrp.SystemBuffer');
    if (buffer !== 0n) world.give(buffer, SYSTEM_BUFFER_TAG);
    freeIrp(world, irp.address);
  }

  /** As the exception handler around the making of a request does: what cannot be accessed becomes its status. */
  guarded(world: IoWorld, irp: IrpObject, attach: () => number): number {
    let status: number;
    try {
      status = attach();
    } catch (error) {
      this.discard(world, irp);
      if (error instanceof GuestAccessViolation) return STATUS.ACCESS_VIOLATION;
      throw error;
    }
    if (isError(status)) this.discard(world, irp);
    return status;
  }

  /**
   * Sends an IRP to its device and waits: on a synchronous file for its completion, otherwise for the dispatch routine.
   * One thread at a time has a request on a synchronous file.
   * @param then what becomes of the status
   */
  send(
    call: IoCaller,
    mode: Mode,
    request: {
      readonly world: IoWorld;
      readonly file: bigint;
      readonly irp: IrpObject;
      readonly device: DeviceObject;
      /** Default: as the file was opened. */
      readonly synchronous?: boolean;
    },
    then: (status: number) => number,
  ): Blocked {
    const { world, irp, device } = request;
    const object = world.at(FILE_OBJECT, request.file);
    const event = world.at(KEVENT, object.at('Event'));
    const synchronous = request.synchronous ?? (object.get('Flags') & FO.SYNCHRONOUS_IO) !== 0;
    let running: Thread | undefined;
    world.addReferences(request.file, 1);
    const start = (): Thread => {
      if (synchronous) object.set('Busy', 1);
      event.set('Header.SignalState', 0);
      world.lists.append(object.at('IrpList'), irp.at('ThreadListEntry'));
      const target = this.io.dispatchRoutine(world, device, irp);
      const routine = typeof target === 'bigint' ? target : this.io.invalidRequestRoutine(world);
      return this.io.callKernel(call.thread, mode, world, {
        target: routine,
        arguments: [device.address, irp.address],
      });
    };
    return blocked({
      reason: `${world.devices.names.nameOf(device.address) ?? 'a device without a name'} to answer`,
      ready: () => {
        if (running === undefined) {
          if (synchronous && object.get('Busy') !== 0) return undefined;
          running = start();
          return undefined;
        }
        const returned = this.io.ended(call.thread, running);
        if (returned === undefined) return undefined;
        let status = Number(BigInt.asUintN(32, returned));
        const inFlight = this.#isInFlight(world, object.at('IrpList'), irp);
        if (status === STATUS.PENDING && synchronous) {
          if (inFlight || event.get('Header.SignalState') === 0) return undefined;
          status = object.get('FinalStatus');
        } else if (status !== STATUS.PENDING && inFlight) this.#tellUnanswered(world, device, status);
        if (synchronous) object.set('Busy', 0);
        this.releaseFile(world, request.file);
        return BigInt(then(status));
      },
    });
  }

  /** Gives a reference to a file object back; the last one takes it away. */
  releaseFile(world: IoWorld, file: bigint): void {
    if (world.addReferences(file, -1) > 0) return;
    world.freeString(world.at(FILE_OBJECT, file).at('FileName'), NAME_TAG);
    world.freeObject(file, FILE_TAG);
  }

  #isInFlight(world: IoWorld, list: bigint, irp: IrpObject): boolean {
    return world.lists.entries(list).includes(irp.at('ThreadListEntry'));
  }

  /** A mistake of drivers: the requestor goes on, and the IRP stays. */
  #tellUnanswered(world: IoWorld, device: DeviceObject, status: number): void {
    const driver = world.devices.driverName(device.wide('DriverObject'));
    this.io.owner.events.emit({
      kind: 'irpNotCompleted',
      text: `${driver} has returned 0x${status.toString(16)} and not completed the IRP; it is lost`,
    });
  }
}
