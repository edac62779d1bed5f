import { type Blocked, isBlocked } from '../common/index.js';
import type { ServiceCall, SimulatedExport } from '../dispatch/index.js';
import {
  IO_STATUS_BLOCK,
  isError,
  isSuccess,
  OBJECT_ATTRIBUTES,
  STATUS,
  Structure,
  sizeOf,
} from '../io/index.js';
import type { ServiceResult } from '../threads/index.js';
import { dosErrorOf } from './dos-errors.js';
import { defineExport } from './simulated-export.js';

const INVALID_HANDLE_VALUE = -1n;
const FILE_FLAG_OVERLAPPED = 0x4000_0000;
const FILE_NON_DIRECTORY_FILE = 0x40;
const FILE_SYNCHRONOUS_IO_NONALERT = 0x20;
const SYNCHRONIZE_AND_READ_ATTRIBUTES = 0x10_0080;
const OBJ_CASE_INSENSITIVE = 0x40;
/** CREATE_NEW, CREATE_ALWAYS, OPEN_EXISTING, OPEN_ALWAYS, TRUNCATE_EXISTING as NtCreateFile knows them. */
const DISPOSITIONS: Readonly<Record<number, number>> = { 1: 2, 2: 5, 3: 1, 4: 3, 5: 4 };
const ERROR_INVALID_PARAMETER = 87;
const ERROR_IO_INCOMPLETE = 996;

/** Room below the caller's stack pointer, where kernel32's own frame would be. */
const FRAME = 0x100n;

const frameOf = ({ processor }: ServiceCall): bigint => (processor.sp - FRAME) & ~15n;

export function setLastError({ process, thread }: ServiceCall, error: number): void {
  if (thread.teb !== undefined) process.environment?.setLastError(thread.teb, error);
}

/** Calls a system service as its stub in ntdll does. */
export function callService(
  call: ServiceCall,
  name: string,
  parameters: readonly (bigint | number)[],
): ServiceResult {
  return call.kernel.systemServices.call(name, {
    ...call,
    argument: (index) => BigInt(parameters[index] ?? 0),
  });
}

/** Goes on with a status when it is known: now, or at the end of a wait. */
export function withStatus(
  result: ServiceResult,
  then: (status: number) => bigint | undefined,
): Blocked | bigint {
  const statusOf = (value: bigint | number) => Number(BigInt.asUintN(32, BigInt(value)));
  if (isBlocked(result)) {
    const ready = () => {
      const value = result.ready();
      return value === undefined ? undefined : then(statusOf(value));
    };
    return { ...result, ready };
  }
  return (
    then(typeof result === 'bigint' || typeof result === 'number' ? statusOf(result) : STATUS.SUCCESS) ?? 0n
  );
}

/** `\\.\Name` and `\\?\…` are names of the directory of DOS devices; everything else is a path of the disk. */
export function ntPathOf(path: string): string {
  const device = /^\\\\[.?]\\(.*)$/s.exec(path)?.[1];
  return `\\??\\${device ?? path}`;
}

function createFile(
  call: ServiceCall,
  path: string,
  {
    access,
    share,
    disposition,
    flags,
  }: { access: number; share: number; disposition: number; flags: number },
): Blocked | bigint {
  const { memory, pointerSize } = call;
  const failed = BigInt.asUintN(8 * pointerSize, INVALID_HANDLE_VALUE);
  const wanted = DISPOSITIONS[disposition];
  if (wanted === undefined || path === '') {
    setLastError(
      call,
      wanted === undefined ? ERROR_INVALID_PARAMETER : dosErrorOf(STATUS.OBJECT_PATH_NOT_FOUND),
    );
    return failed;
  }
  const name = Buffer.from(ntPathOf(path), 'utf16le');
  const frame = frameOf(call);
  const attributes = new Structure(OBJECT_ATTRIBUTES, memory, frame, pointerSize);
  const string = frame + 0x40n;
  const text = (frame - BigInt(name.length)) & ~15n;
  const [handleAt, statusBlock] = [frame + 0x50n, frame + 0x60n];
  memory.write(frame, new Uint8Array(0x80));
  memory.write(text, name);
  memory.writeU16(string, name.length);
  memory.writeU16(string + 2n, name.length);
  memory.writePointer(string + BigInt(pointerSize), text);
  attributes.set('Length', sizeOf(OBJECT_ATTRIBUTES, pointerSize));
  attributes.set('ObjectName', string);
  attributes.set('Attributes', OBJ_CASE_INSENSITIVE);
  const isOverlapped = (flags & FILE_FLAG_OVERLAPPED) !== 0;
  const options = FILE_NON_DIRECTORY_FILE | (isOverlapped ? 0 : FILE_SYNCHRONOUS_IO_NONALERT);
  const result = callService(call, 'NtCreateFile', [
    handleAt,
    access | SYNCHRONIZE_AND_READ_ATTRIBUTES,
    frame,
    statusBlock,
    0,
    flags & 0xffff,
    share,
    wanted,
    options,
  ]);
  return withStatus(result, (status) => {
    setLastError(call, dosErrorOf(status));
    return isSuccess(status) ? memory.readPointer(handleAt) : failed;
  });
}

/** OVERLAPPED (minwinbase.h): an IO_STATUS_BLOCK, the offset in the file, and an event. */
function overlappedParts({ memory, pointerSize }: ServiceCall, address: bigint) {
  const offset = address + BigInt(2 * pointerSize);
  return { statusBlock: address, offset, event: memory.readPointer(offset + 8n) };
}

/**
 * Calls a service that transfers data. What it says goes into `transferred`, errors into the last error.
 * @param service with the event and the status block that it is to use
 */
function transfer(
  call: ServiceCall,
  overlapped: bigint,
  transferred: bigint,
  service: (event: bigint, statusBlock: bigint, offset: bigint) => ServiceResult,
): Blocked | bigint {
  const { memory, pointerSize } = call;
  const parts = overlapped === 0n ? undefined : overlappedParts(call, overlapped);
  const statusBlock = parts?.statusBlock ?? frameOf(call);
  const block = new Structure(IO_STATUS_BLOCK, memory, statusBlock, pointerSize);
  block.set('Status', STATUS.PENDING);
  block.set('Information', 0n);
  if (transferred !== 0n) memory.writeU32(transferred, 0);
  const result = service(parts?.event ?? 0n, statusBlock, parts?.offset ?? 0n);
  return withStatus(result, (answer) => {
    const isPending = answer === STATUS.PENDING;
    // A handle that was opened for overlapped use is waited for all the same.
    if (isPending && parts === undefined && block.get('Status') === STATUS.PENDING) return undefined;
    const status = isPending && parts === undefined ? block.get('Status') : answer;
    if (transferred !== 0n && !isError(status) && status !== STATUS.PENDING)
      memory.writeU32(transferred, Number(block.wide('Information') & 0xffff_ffffn));
    if (isSuccess(status) && status !== STATUS.PENDING) return 1n;
    setLastError(call, dosErrorOf(status));
    return 0n;
  });
}

function overlappedResult(call: ServiceCall, overlapped: bigint, transferred: bigint, wait: number) {
  const block = new Structure(IO_STATUS_BLOCK, call.memory, overlapped, call.pointerSize);
  const finish = (): bigint | undefined => {
    const status = block.get('Status');
    if (status === STATUS.PENDING) return undefined;
    call.memory.writeU32(transferred, Number(block.wide('Information') & 0xffff_ffffn));
    if (isSuccess(status)) return 1n;
    setLastError(call, dosErrorOf(status));
    return 0n;
  };
  const now = finish();
  if (now !== undefined) return now;
  if (wait === 0) {
    setLastError(call, ERROR_IO_INCOMPLETE);
    return 0n;
  }
  return { kind: 'blocked', reason: 'an overlapped request to end', ready: finish } satisfies Blocked;
}

/** What succeeds or fails, with the last error. */
function success(call: ServiceCall, name: string, parameters: readonly (bigint | number)[]) {
  return withStatus(callService(call, name, parameters), (status) => {
    if (isSuccess(status)) return 1n;
    setLastError(call, dosErrorOf(status));
    return 0n;
  });
}

/** Files and devices of kernelbase.dll (fileapi.h, ioapiset.h, handleapi.h), over the services of ntdll.dll. */
export function userFiles(): SimulatedExport[] {
  const create = <T extends 'cstring' | 'wstring'>(name: string, text: T) =>
    defineExport(
      name,
      [text, 'u32', 'u32', 'pointer', 'u32', 'u32', 'pointer'],
      (call, path, access, share, _security, disposition, flags) =>
        createFile(call, String(path), { access, share, disposition, flags }),
    );
  const move = (name: string, service: string) =>
    defineExport(
      name,
      ['pointer', 'pointer', 'u32', 'pointer', 'pointer'],
      (call, handle, buffer, length, transferred, overlapped) =>
        transfer(call, overlapped, transferred, (event, statusBlock, offset) =>
          callService(call, service, [handle, event, 0, 0, statusBlock, buffer, length, offset, 0]),
        ),
    );
  return [
    create('CreateFileW', 'wstring'),
    create('CreateFileA', 'cstring'),
    defineExport('CloseHandle', ['pointer'], (call, handle) => success(call, 'NtClose', [handle])),
    defineExport(
      'DeviceIoControl',
      ['pointer', 'u32', 'pointer', 'u32', 'pointer', 'u32', 'pointer', 'pointer'],
      (call, handle, code, input, inputLength, output, outputLength, transferred, overlapped) =>
        transfer(call, overlapped, transferred, (event, statusBlock) =>
          callService(call, 'NtDeviceIoControlFile', [
            handle,
            event,
            0,
            0,
            statusBlock,
            code,
            input,
            inputLength,
            output,
            outputLength,
          ]),
        ),
    ),
    move('ReadFile', 'NtReadFile'),
    move('WriteFile', 'NtWriteFile'),
    defineExport(
      'GetOverlappedResult',
      ['pointer', 'pointer', 'pointer', 'u32'],
      (call, _handle, overlapped, transferred, wait) => overlappedResult(call, overlapped, transferred, wait),
    ),
    defineExport('CancelIo', ['pointer'], (call, handle) =>
      success(call, 'NtCancelIoFile', [handle, frameOf(call)]),
    ),
    defineExport('CancelIoEx', ['pointer', 'pointer'], (call, handle, overlapped) =>
      success(call, 'NtCancelIoFileEx', [handle, overlapped, frameOf(call)]),
    ),
  ];
}
