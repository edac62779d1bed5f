import { type Blocked, blocked } from '../common/index.js';
import type { GuestMemory } from '../memory/index.js';
import { EventObject } from '../processes/index.js';
import { cancelAll, requestsOf } from './cancel.js';
import { DO, FO, IO_TYPE, IRP_FLAGS, IRP_MJ, isError, isSuccess, METHOD, STATUS } from './constants.js';
import { DeviceFile } from './device-file.js';
import type { DeviceObject } from './devices.js';
import type { IoCaller } from './io-caller.js';
import type { IoCore, Mode } from './io-core.js';
import { FILE_OBJECT, IO_SECURITY_CONTEXT, IO_STATUS_BLOCK } from './layouts.js';
import type { ResolvedDevice } from './names.js';
import { FILE_TAG, NAME_TAG, Requests } from './requests.js';
import { sizeOf } from './structure.js';
import type { IoWorld } from './world.js';

const FILE_SYNCHRONOUS_IO_ALERT = 0x10;
const FILE_SYNCHRONOUS_IO_NONALERT = 0x20;
const FILE_READ_DATA = 1;
const FILE_WRITE_DATA = 2;
/** GENERIC_MAPPING of file objects (winnt.h). */
const GENERIC: readonly (readonly [generic: number, specific: number])[] = [
  [0x8000_0000, 0x12_0089],
  [0x4000_0000, 0x12_0116],
  [0x2000_0000, 0x12_00a0],
  [0x1000_0000, 0x1f_01ff],
  [0x0200_0000, 0x1f_01ff],
];
const SPECIFIC = 0x01ff_ffff;

export interface CreateRequest {
  readonly path: string;
  readonly related?: DeviceFile | undefined;
  readonly desiredAccess: number;
  readonly statusBlock: bigint;
  readonly fileAttributes: number;
  readonly shareAccess: number;
  readonly disposition: number;
  readonly options: number;
}

export interface ControlRequest {
  readonly event: bigint;
  readonly statusBlock: bigint;
  readonly code: number;
  readonly input: bigint;
  readonly inputLength: number;
  readonly output: bigint;
  readonly outputLength: number;
  readonly internal?: boolean;
}

export interface TransferRequest {
  readonly kind: 'read' | 'write';
  readonly event: bigint;
  readonly statusBlock: bigint;
  readonly buffer: bigint;
  readonly length: number;
  /** Of the file; undefined: where it stands. */
  readonly offset: bigint | undefined;
  readonly key: number;
}

/** Opening, using and closing devices: what NtCreateFile and its like do with one. */
export class DeviceFiles {
  readonly requests: Requests;

  constructor(private readonly io: IoCore) {
    this.requests = new Requests(io);
  }

  /** Which device a path leads to, and where; a status when none. */
  resolve(
    call: IoCaller,
    path: string,
    related?: DeviceFile,
  ): (ResolvedDevice & { world: IoWorld }) | number {
    if (related !== undefined)
      return { world: related.world, device: related.object.wide('DeviceObject'), rest: path };
    let status: number = STATUS.OBJECT_NAME_NOT_FOUND;
    for (const world of this.io.worldsFor(call.process)) {
      const found = world.devices.names.resolve(path);
      if (typeof found !== 'number') return { ...found, world };
      if (status === STATUS.OBJECT_NAME_NOT_FOUND) status = found;
    }
    return status;
  }

  /** IRP_MJ_CREATE; `opened` gets the new file. @returns the status */
  create(
    call: IoCaller,
    mode: Mode,
    request: CreateRequest,
    opened: (file: DeviceFile) => void,
  ): Blocked | number {
    const found = this.resolve(call, request.path, request.related);
    if (typeof found === 'number') return found;
    const { world } = found;
    const named = world.devices.device(found.device);
    const refusal = refusalToOpen(named, world);
    if (refusal !== undefined) return refusal;
    const access = grantedAccess(request.desiredAccess);
    const file = this.#fileObject(this.io.client(call.thread).id, world, named, found.rest, request, access);
    if (file === undefined) return STATUS.INSUFFICIENT_RESOURCES;
    const made = this.requests.make(
      call,
      mode,
      { world, address: file },
      {
        major: IRP_MJ.CREATE,
        flags: IRP_FLAGS.CREATE_OPERATION | IRP_FLAGS.SYNCHRONOUS_API,
        statusBlock: request.statusBlock,
        event: 0n,
      },
    );
    if (made === undefined) {
      this.#freeFile(world, file);
      return STATUS.INSUFFICIENT_RESOURCES;
    }
    const security = world.at(IO_SECURITY_CONTEXT, file + BigInt(sizeOf(FILE_OBJECT, world.pointerSize)));
    security.set('DesiredAccess', access);
    security.set('FullCreateOptions', request.options);
    made.location.set('Parameters.Create.SecurityContext', security.address);
    made.location.set('Parameters.Create.Options', request.disposition * 0x100_0000 + request.options);
    made.location.set('Parameters.Create.FileAttributes', request.fileAttributes);
    made.location.set('Parameters.Create.ShareAccess', request.shareAccess);
    named.set('ReferenceCount', named.get('ReferenceCount') + 1);
    return this.requests.send(call, mode, { world, file, ...made, synchronous: true }, (status) => {
      if (isSuccess(status)) {
        const object = world.at(FILE_OBJECT, file);
        object.set('Flags', object.get('Flags') | FO.HANDLE_CREATED | FO.FILE_OPEN);
        opened(new DeviceFile(world, file, access));
      } else this.#release(world, file);
      return status;
    });
  }

  /** IRP_MJ_DEVICE_CONTROL. */
  control(call: IoCaller, mode: Mode, file: DeviceFile, request: ControlRequest): Blocked | number {
    const { world } = file;
    const method = request.code & 3;
    const required = (request.code >>> 14) & 3;
    const granted =
      (file.grantedAccess & FILE_READ_DATA ? 1 : 0) | (file.grantedAccess & FILE_WRITE_DATA ? 2 : 0);
    if (mode === 'user' && (required & ~granted) !== 0) return STATUS.ACCESS_DENIED;
    const isNeither = method === METHOD.NEITHER;
    const inputLength = !isNeither && request.input === 0n ? 0 : request.inputLength;
    const outputLength = !isNeither && request.output === 0n ? 0 : request.outputLength;
    probeStatusBlock(call.memory, request.statusBlock);
    if (!isNeither && outputLength > 0 && method !== METHOD.IN_DIRECT)
      call.memory.probe(request.output, outputLength, 'write');
    const event = this.#event(call, world, request.event);
    if (typeof event === 'number') return event;
    const made = this.requests.make(call, mode, file, {
      major: request.internal === true ? IRP_MJ.INTERNAL_DEVICE_CONTROL : IRP_MJ.DEVICE_CONTROL,
      flags: 0,
      statusBlock: request.statusBlock,
      event,
    });
    if (made === undefined) return STATUS.INSUFFICIENT_RESOURCES;
    const { irp, location } = made;
    location.set('Parameters.DeviceIoControl.OutputBufferLength', outputLength);
    location.set('Parameters.DeviceIoControl.InputBufferLength', inputLength);
    location.set('Parameters.DeviceIoControl.IoControlCode', request.code);
    const status = this.requests.guarded(world, irp, () =>
      this.requests.attachBuffers(call, world, irp, location, {
        method,
        input: { address: request.input, length: inputLength },
        output: { address: request.output, length: outputLength },
      }),
    );
    if (isError(status)) return status;
    return this.requests.send(call, mode, { world, file: file.address, ...made }, (last) => last);
  }

  /** IRP_MJ_READ and IRP_MJ_WRITE, buffered or direct as the device wants it. */
  transfer(call: IoCaller, mode: Mode, file: DeviceFile, request: TransferRequest): Blocked | number {
    const { world } = file;
    const { kind, buffer, length } = request;
    const wanted = kind === 'read' ? FILE_READ_DATA : FILE_WRITE_DATA;
    if ((file.grantedAccess & wanted) === 0) return STATUS.ACCESS_DENIED;
    const isSynchronous = (file.object.get('Flags') & FO.SYNCHRONOUS_IO) !== 0;
    if (request.offset === undefined && !isSynchronous) return STATUS.INVALID_PARAMETER;
    probeStatusBlock(call.memory, request.statusBlock);
    const access = kind === 'read' ? 'write' : 'read';
    call.memory.probe(buffer, length, access);
    const event = this.#event(call, world, request.event);
    if (typeof event === 'number') return event;
    const made = this.requests.make(call, mode, file, {
      major: kind === 'read' ? IRP_MJ.READ : IRP_MJ.WRITE,
      flags: kind === 'read' ? IRP_FLAGS.READ_OPERATION : IRP_FLAGS.WRITE_OPERATION,
      statusBlock: request.statusBlock,
      event,
    });
    if (made === undefined) return STATUS.INSUFFICIENT_RESOURCES;
    const { irp, location, device } = made;
    location.set('Parameters.Read.Length', length);
    location.set('Parameters.Read.Key', request.key);
    location.set('Parameters.Read.ByteOffset', request.offset ?? file.object.wide('CurrentByteOffset'));
    const flags = device.get('Flags');
    const whole = { address: buffer, length };
    const none = { address: 0n, length: 0 };
    const status = this.requests.guarded(world, irp, () => {
      if ((flags & DO.BUFFERED_IO) !== 0)
        return this.requests.attachBuffers(call, world, irp, location, {
          method: METHOD.BUFFERED,
          input: kind === 'write' ? whole : none,
          output: kind === 'read' ? whole : none,
        });
      if ((flags & DO.DIRECT_IO) === 0) irp.set('UserBuffer', buffer);
      else if (length > 0) return this.requests.attachMdl(call, world, irp, whole, access);
      return STATUS.SUCCESS;
    });
    if (isError(status)) return status;
    return this.requests.send(call, mode, { world, file: file.address, ...made }, (last) => last);
  }

  /** The last handle is closed: IRP_MJ_CLEANUP, and IRP_MJ_CLOSE when no request is left, now or later. */
  close(call: IoCaller, file: DeviceFile): Blocked {
    const cleanup = this.#system(call, file, IRP_MJ.CLEANUP);
    let deletion: Blocked | undefined;
    return blocked({
      reason: cleanup.reason,
      ready: () => {
        if (deletion === undefined) {
          if (cleanup.ready() === undefined) return undefined;
          const { object } = file;
          object.set('Flags', object.get('Flags') | FO.CLEANUP_COMPLETE);
          if (requestsOf(file).length > 0) return 0n;
          deletion = this.delete(call, file);
        }
        return deletion.ready();
      },
    });
  }

  /** IRP_MJ_CLOSE; then the file object is gone. */
  delete(call: IoCaller, file: DeviceFile): Blocked {
    const closing = this.#system(call, file, IRP_MJ.CLOSE);
    return blocked({
      reason: closing.reason,
      ready: () => {
        if (closing.ready() === undefined) return undefined;
        this.#release(file.world, file.address);
        return 0n;
      },
    });
  }

  /** As {@link close}, of a process that has ended: its requests are cancelled first. */
  closeAtEnd(call: IoCaller, file: DeviceFile): Blocked {
    const cancelling = cancelAll(this.io, call, file);
    let closing: Blocked | undefined;
    return blocked({
      reason: cancelling.reason,
      ready: () => {
        if (closing === undefined && cancelling.ready() === undefined) return undefined;
        closing ??= this.close(call, file);
        return closing.ready();
      },
    });
  }

  /** A request that the I/O manager makes itself, without a status block. */
  #system(call: IoCaller, file: DeviceFile, major: number): Blocked {
    const flags = IRP_FLAGS.CLOSE_OPERATION | IRP_FLAGS.SYNCHRONOUS_API;
    const made = this.requests.make(call, 'kernel', file, { major, flags, statusBlock: 0n, event: 0n });
    if (made === undefined) return blocked({ reason: 'nothing', ready: () => 0n });
    const { world, address } = file;
    return this.requests.send(
      call,
      'kernel',
      { world, file: address, ...made, synchronous: true },
      () => STATUS.SUCCESS,
    );
  }

  #fileObject(
    thread: number,
    world: IoWorld,
    device: DeviceObject,
    name: string,
    request: CreateRequest,
    access: number,
  ): bigint | undefined {
    const file = world.createObject(
      FILE_OBJECT,
      FILE_TAG,
      sizeOf(IO_SECURITY_CONTEXT, world.pointerSize),
      thread,
    );
    if (file === undefined) return undefined;
    const { options, shareAccess } = request;
    file.set('Type', IO_TYPE.file);
    file.set('Size', file.size);
    file.set('DeviceObject', device.address);
    file.set('RelatedFileObject', request.related?.address ?? 0n);
    const alertable = (options & FILE_SYNCHRONOUS_IO_ALERT) !== 0;
    const synchronous = alertable || (options & FILE_SYNCHRONOUS_IO_NONALERT) !== 0;
    file.set('Flags', (synchronous ? FO.SYNCHRONOUS_IO : 0) | (alertable ? FO.ALERTABLE_IO : 0));
    file.set('ReadAccess', access & FILE_READ_DATA ? 1 : 0);
    file.set('WriteAccess', access & FILE_WRITE_DATA ? 1 : 0);
    file.set('SharedRead', shareAccess & 1);
    file.set('SharedWrite', (shareAccess >> 1) & 1);
    file.set('SharedDelete', (shareAccess >> 2) & 1);
    world.lists.initialize(file.at('IrpList'));
    if (name !== '') world.setString(file.at('FileName'), name, NAME_TAG, thread);
    return file.address;
  }

  #release(world: IoWorld, file: bigint): void {
    const device = world.devices.device(world.at(FILE_OBJECT, file).wide('DeviceObject'));
    device.set('ReferenceCount', device.get('ReferenceCount') - 1);
    world.devices.releaseDeleted(device);
    this.#freeFile(world, file);
  }

  #freeFile(world: IoWorld, file: bigint): void {
    this.requests.releaseFile(world, file);
  }

  /** The KEVENT of a handle, reset; a status when it is none. */
  #event(call: IoCaller, world: IoWorld, handle: bigint): bigint | number {
    if (handle === 0n) return 0n;
    const event = call.process.handles.get(handle, EventObject);
    if (event === undefined) return STATUS.INVALID_HANDLE;
    const address = this.io.kernelEvent(world, event);
    event.reset();
    return address;
  }
}

function refusalToOpen(device: DeviceObject, world: IoWorld): number | undefined {
  const flags = device.get('Flags');
  if ((flags & DO.DEVICE_INITIALIZING) !== 0) return STATUS.NO_SUCH_DEVICE;
  if (world.devices.isDeletePending(device)) return STATUS.DELETE_PENDING;
  if ((flags & DO.EXCLUSIVE) !== 0 && device.get('ReferenceCount') !== 0) return STATUS.ACCESS_DENIED;
  return undefined;
}

function grantedAccess(desired: number): number {
  let access = desired & SPECIFIC;
  for (const [generic, specific] of GENERIC) if ((desired & generic) !== 0) access |= specific;
  return access;
}

function probeStatusBlock(memory: GuestMemory, address: bigint): void {
  memory.probe(address, sizeOf(IO_STATUS_BLOCK, memory.pointerSize), 'write');
}
