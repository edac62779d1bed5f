import type { Blocked } from '../common/index.js';
import type { ServiceCall } from '../dispatch/index.js';
import { cancelRequests, DeviceFile, type Mode, OBJECT_ATTRIBUTES, STATUS, Structure } from '../io/index.js';
import type { SystemServices } from './system-services.js';

/** A service that programs and drivers call: the mode says who. */
export type FileService = (call: ServiceCall, mode: Mode) => Blocked | number | bigint;

const u32 = (call: ServiceCall, index: number): number => Number(BigInt.asUintN(32, call.argument(index)));
const pointer = (call: ServiceCall, index: number): bigint =>
  BigInt.asUintN(8 * call.pointerSize, call.argument(index));

const FILE_OPEN = 1;

/** The path of OBJECT_ATTRIBUTES, and the open device that it is relative to. */
function nameOf(
  call: ServiceCall,
  address: bigint,
): { path: string; related: DeviceFile | undefined } | number {
  const attributes = new Structure(OBJECT_ATTRIBUTES, call.memory, address, call.pointerSize);
  if (attributes.get('Length') !== attributes.size) return STATUS.INVALID_PARAMETER;
  const name = attributes.wide('ObjectName');
  const root = attributes.wide('RootDirectory');
  const path = name === 0n ? '' : call.memory.readUnicodeString(name);
  if (root === 0n) return { path, related: undefined };
  const related = call.process.handles.get(root, DeviceFile);
  return related === undefined ? STATUS.INVALID_HANDLE : { path, related };
}

/** (*FileHandle, DesiredAccess, ObjectAttributes, IoStatusBlock, AllocationSize, FileAttributes, ShareAccess, CreateDisposition, CreateOptions, EaBuffer, EaLength) */
const createFile: FileService = (call, mode) =>
  create(call, mode, {
    fileAttributes: u32(call, 5),
    shareAccess: u32(call, 6),
    disposition: u32(call, 7),
    options: u32(call, 8),
  });

/** (*FileHandle, DesiredAccess, ObjectAttributes, IoStatusBlock, ShareAccess, OpenOptions) */
const openFile: FileService = (call, mode) =>
  create(call, mode, {
    fileAttributes: 0,
    shareAccess: u32(call, 4),
    disposition: FILE_OPEN,
    options: u32(call, 5),
  });

function create(
  call: ServiceCall,
  mode: Mode,
  how: { fileAttributes: number; shareAccess: number; disposition: number; options: number },
): Blocked | number {
  const [handleAt, statusBlock] = [pointer(call, 0), pointer(call, 3)];
  call.memory.probe(handleAt, call.pointerSize, 'write');
  call.memory.probe(statusBlock, 2 * call.pointerSize, 'write');
  const name = nameOf(call, pointer(call, 2));
  if (typeof name === 'number') return name;
  const request = { ...how, ...name, desiredAccess: u32(call, 1), statusBlock };
  return call.kernel.io.files.create(call, mode, request, (file) => {
    call.memory.writePointer(handleAt, BigInt(call.process.handles.open(file)));
  });
}

const deviceOf = (call: ServiceCall, index = 0): DeviceFile | undefined =>
  call.process.handles.get(call.argument(index), DeviceFile);

/** (FileHandle, Event, ApcRoutine, ApcContext, IoStatusBlock, IoControlCode, InputBuffer, InputBufferLength, OutputBuffer, OutputBufferLength) */
const deviceIoControl: FileService = (call, mode) => {
  const file = deviceOf(call);
  if (file === undefined) return STATUS.INVALID_HANDLE;
  if (pointer(call, 2) !== 0n) return STATUS.NOT_SUPPORTED;
  return call.kernel.io.files.control(call, mode, file, {
    event: pointer(call, 1),
    statusBlock: pointer(call, 4),
    code: u32(call, 5),
    input: pointer(call, 6),
    inputLength: u32(call, 7),
    output: pointer(call, 8),
    outputLength: u32(call, 9),
  });
};

/** (FileHandle, Event, ApcRoutine, ApcContext, IoStatusBlock, Buffer, Length, *ByteOffset, *Key) */
const transfer =
  (kind: 'read' | 'write'): FileService =>
  (call, mode) => {
    const file = deviceOf(call);
    if (file === undefined) return STATUS.INVALID_HANDLE;
    if (pointer(call, 2) !== 0n) return STATUS.NOT_SUPPORTED;
    const [offset, key] = [pointer(call, 7), pointer(call, 8)];
    return call.kernel.io.files.transfer(call, mode, file, {
      kind,
      event: pointer(call, 1),
      statusBlock: pointer(call, 4),
      buffer: pointer(call, 5),
      length: u32(call, 6),
      offset: offset === 0n ? undefined : call.memory.readU64(offset),
      key: key === 0n ? 0 : call.memory.readU32(key),
    });
  };

/** (FileHandle, IoStatusBlock): the calling thread's requests; Ex: (FileHandle, IoRequestToCancel, IoStatusBlock) */
const cancel =
  (kind: 'own' | 'any'): FileService =>
  (call) => {
    const file = deviceOf(call);
    if (file === undefined) return STATUS.INVALID_HANDLE;
    const request = kind === 'any' ? pointer(call, 1) : 0n;
    return cancelRequests(call.kernel.io, call, file, {
      ownOnly: kind === 'own',
      request,
      statusBlock: pointer(call, kind === 'any' ? 2 : 1),
    });
  };

const close: FileService = (call) => {
  const { handles } = call.process;
  const handle = call.argument(0);
  const file = handles.get(handle, DeviceFile);
  if (!handles.close(handle)) return STATUS.INVALID_HANDLE;
  return file === undefined ? STATUS.SUCCESS : call.kernel.io.files.close(call, file);
};

/** Of programs by ntdll's stubs, of drivers by ntoskrnl's Zw routines. */
export const fileServices: Readonly<Record<string, FileService>> = {
  NtCreateFile: createFile,
  NtOpenFile: openFile,
  NtDeviceIoControlFile: deviceIoControl,
  NtFsControlFile: (call) =>
    deviceOf(call) === undefined ? STATUS.INVALID_HANDLE : STATUS.INVALID_DEVICE_REQUEST,
  NtReadFile: transfer('read'),
  NtWriteFile: transfer('write'),
  NtCancelIoFile: cancel('own'),
  NtCancelIoFileEx: cancel('any'),
  NtClose: close,
};

export function defineFileServices(services: SystemServices): void {
  for (const [name, service] of Object.entries(fileServices))
    services.define(name, (call) => service(call, 'user'));
}
