import type { ServiceCall } from '../dispatch/index.js';
import {
  ATTRIBUTE,
  ConsoleFile,
  FILE_ERROR,
  type FileNode,
  fullPath,
  VolumeError,
  VolumeFile,
} from '../files/index.js';
import type { ServiceResult } from '../threads/index.js';
import { consoleWrite } from './console.js';

/** Win32 errors (winerror.h) that have nothing to do with the volume. */
export const ERROR = {
  invalidHandle: 6,
  noMoreFiles: 18,
  handleEof: 38,
  invalidParameter: 87,
  bufferOverflow: 111,
  noAccess: 5,
} as const;
const GENERIC_READ = 0x8000_0000;
const GENERIC_WRITE = 0x4000_0000;
const GENERIC_ALL = 0x1000_0000;
const FILE_READ_DATA = 1;
const FILE_WRITE_DATA = 2;
const FILE_APPEND_DATA = 4;
const FLAG_DELETE_ON_CLOSE = 0x0400_0000;
const FLAG_BACKUP_SEMANTICS = 0x0200_0000;
export const INVALID_ATTRIBUTES = 0xffff_ffffn;

export const invalidHandle = ({ pointerSize }: ServiceCall): bigint => BigInt.asUintN(8 * pointerSize, -1n);

export function setLastError({ process, thread }: ServiceCall, error: number): void {
  if (thread.teb !== undefined) process.environment?.setLastError(thread.teb, error);
}

export function fail<T>(call: ServiceCall, error: number, result: T): T {
  setLastError(call, error);
  return result;
}

/** What a refusal of the volume becomes: the last error, and the result of failure. */
export function onVolume<T>(call: ServiceCall, failure: T, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof VolumeError)) throw error;
    return fail(call, error.code, failure);
  }
}

export const absolute = ({ process }: ServiceCall, path: string): string =>
  fullPath(path, process.currentDirectory);
/** `\\.\Name` and the like: no file on the volume. */
export const isDevicePath = (path: string): boolean => /^\\\\\.\\|^\\Device\\/i.test(path);

interface OpenRequest {
  readonly read: boolean;
  readonly write: boolean;
  readonly append: boolean;
  /** CREATE_NEW 1, CREATE_ALWAYS 2, OPEN_EXISTING 3, OPEN_ALWAYS 4, TRUNCATE_EXISTING 5. */
  readonly disposition: number;
  readonly directories?: boolean;
  readonly deleteOnClose?: boolean;
}

/** Opens a file of the volume. @throws VolumeError */
export function openFile(
  call: ServiceCall,
  path: string,
  request: OpenRequest,
): { file: VolumeFile; existed: boolean } {
  const { volume } = call.kernel;
  const full = absolute(call, path);
  const { disposition, read, write, append } = request;
  const found = volume.find(full);
  if (found !== undefined && disposition === 1) throw new VolumeError(FILE_ERROR.fileExists, full);
  if (found === undefined && (disposition === 3 || disposition === 5)) volume.get(full);
  const node = found ?? volume.create(full, false);
  if (node.isDirectory && request.directories !== true) throw new VolumeError(FILE_ERROR.accessDenied, full);
  if ((write || append) && (node.attributes & ATTRIBUTE.readOnly) !== 0)
    throw new VolumeError(FILE_ERROR.accessDenied, full);
  if (found !== undefined && (disposition === 2 || disposition === 5)) node.resize(0);
  return {
    file: new VolumeFile(volume, node, { read, write, append }, request.deleteOnClose === true),
    existed: found !== undefined,
  };
}

export function createFile(
  call: ServiceCall,
  path: string,
  access: number,
  disposition: number,
  flags: number,
): bigint {
  return onVolume(call, invalidHandle(call), () => {
    const all = (access & GENERIC_ALL) !== 0;
    const { file, existed } = openFile(call, path, {
      read: all || (access & (GENERIC_READ | FILE_READ_DATA)) !== 0,
      write: all || (access & (GENERIC_WRITE | FILE_WRITE_DATA)) !== 0,
      append: (access & (GENERIC_WRITE | FILE_WRITE_DATA)) === 0 && (access & FILE_APPEND_DATA) !== 0,
      disposition,
      directories: (flags & FLAG_BACKUP_SEMANTICS) !== 0,
      deleteOnClose: (flags & FLAG_DELETE_ON_CLOSE) !== 0,
    });
    if (!existed && (flags & 0xffff) !== 0) file.node.attributes = flags & 0x27 || ATTRIBUTE.archive;
    setLastError(call, existed && (disposition === 2 || disposition === 4) ? FILE_ERROR.alreadyExists : 0);
    return BigInt(call.process.handles.open(file));
  });
}

/** Standard handles are 3 more than a multiple of four, so that no handle of the table is one. */
export const STANDARD = { input: 0x1_0003n, output: 0x1_0007n, error: 0x1_000bn } as const;
const CONSOLES = {
  input: new ConsoleFile('input'),
  output: new ConsoleFile('output'),
  error: new ConsoleFile('error'),
} as const;

export function standardHandle(stream: keyof typeof STANDARD): bigint {
  return STANDARD[stream];
}

/** The open file or the console behind a handle. */
export function fileOf({ process }: ServiceCall, handle: bigint): VolumeFile | ConsoleFile | undefined {
  for (const stream of ['input', 'output', 'error'] as const)
    if (handle === STANDARD[stream]) return CONSOLES[stream];
  return process.handles.get(handle, VolumeFile);
}

/** Bytes at the file's position, which moves on; undefined when it was not opened to be read. */
export function readFrom(file: VolumeFile | ConsoleFile, length: number): Uint8Array | undefined {
  if (file instanceof ConsoleFile) return file.stream === 'input' ? new Uint8Array() : undefined;
  if (!file.access.read) return undefined;
  const bytes = file.node.read(file.position, length);
  file.position += bytes.length;
  return bytes;
}

export function writeTo(call: ServiceCall, file: VolumeFile | ConsoleFile, bytes: Uint8Array): boolean {
  if (file instanceof ConsoleFile) {
    if (file.stream === 'input') return false;
    consoleWrite(call, file.stream, bytes);
    return true;
  }
  if (!file.access.write && !file.access.append) return false;
  if (file.access.append) file.position = file.node.size;
  file.node.write(file.position, bytes);
  file.position += bytes.length;
  file.node.modified = call.kernel.now;
  return true;
}

export const LARGEST_TRANSFER = 0x1000_0000;

export function readFile(
  call: ServiceCall,
  handle: bigint,
  buffer: bigint,
  length: number,
  done: bigint,
  overlapped: bigint,
) {
  const file = fileOf(call, handle);
  if (file === undefined) return NOT_A_FILE;
  if (done !== 0n) call.memory.writeU32(done, 0);
  seekTo(call, file, overlapped);
  const before = file instanceof VolumeFile ? file.position : 0;
  const bytes = readFrom(file, Math.min(length, LARGEST_TRANSFER));
  if (bytes === undefined) return fail(call, ERROR.noAccess, 0);
  try {
    call.memory.write(buffer, bytes);
  } catch (error) {
    if (file instanceof VolumeFile) file.position = before;
    throw error;
  }
  if (done !== 0n) call.memory.writeU32(done, bytes.length);
  if (overlapped !== 0n && bytes.length === 0 && length > 0) return fail(call, ERROR.handleEof, 0);
  return 1;
}

/** OVERLAPPED { Internal, InternalHigh; DWORD Offset, OffsetHigh; … } says where; transfers end at once. */
function seekTo(
  { memory, pointerSize }: ServiceCall,
  file: VolumeFile | ConsoleFile,
  overlapped: bigint,
): void {
  if (overlapped !== 0n && file instanceof VolumeFile)
    file.position = Number(memory.readU64(overlapped + BigInt(2 * pointerSize)) & 0x1f_ffff_ffff_ffffn);
}

export function writeFile(
  call: ServiceCall,
  handle: bigint,
  buffer: bigint,
  length: number,
  done: bigint,
  overlapped: bigint,
) {
  const file = fileOf(call, handle);
  if (file === undefined) return NOT_A_FILE;
  if (done !== 0n) call.memory.writeU32(done, 0);
  const bytes = call.memory.read(buffer, length);
  seekTo(call, file, overlapped);
  if (!writeTo(call, file, bytes)) return fail(call, ERROR.noAccess, 0);
  if (done !== 0n) call.memory.writeU32(done, length);
  return 1;
}

/** Where a file stands after a move; undefined when that is before its beginning. */
export function moveTo(file: VolumeFile, offset: bigint, origin: number): number | undefined {
  const from = origin === 0 ? 0n : origin === 1 ? BigInt(file.position) : BigInt(file.node.size);
  const target = from + offset;
  if (origin > 2 || target < 0n || target > 0x1f_ffff_ffff_ffffn) return undefined;
  file.position = Number(target);
  return file.position;
}

export const attributesOf = (node: FileNode): number => node.attributes || ATTRIBUTE.normal;

/** WIN32_FILE_ATTRIBUTE_DATA: attributes, three FILETIMEs, size. */
export function attributeData(node: FileNode): Uint8Array {
  const bytes = new Uint8Array(36);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, attributesOf(node), true);
  view.setBigUint64(4, node.created, true);
  view.setBigUint64(12, node.modified, true);
  view.setBigUint64(20, node.modified, true);
  view.setUint32(28, Math.floor(node.size / 2 ** 32), true);
  view.setUint32(32, node.size >>> 0, true);
  return bytes;
}

/** WIN32_FIND_DATAW and A: attributes as above, two reserved dwords, the name and the short name. */
export function writeFindData({ memory }: ServiceCall, at: bigint, node: FileNode, unit: 1 | 2): void {
  const bytes = new Uint8Array(44 + 260 * unit + 14 * unit);
  bytes.set(attributeData(node));
  const name = node.path.replace(/^.*\\/, '').slice(0, 259);
  bytes.set(Buffer.from(name, unit === 2 ? 'utf16le' : 'latin1'), 44);
  memory.write(at, bytes);
}

/** Not a file of the volume nor the console: somebody else's, such as a device's. */
export const NOT_A_FILE = Symbol('not a file on the volume');
export type DiskResult = ServiceResult | typeof NOT_A_FILE;

/** Writes text with its terminator if it fits; the length without it, or the size that is needed with it. */
export function giveText(
  { memory }: ServiceCall,
  to: bigint,
  room: number,
  text: string,
  unit: 1 | 2,
): number {
  if (text.length >= room) return text.length + 1;
  memory.write(to, Buffer.from(`${text}\0`, unit === 2 ? 'utf16le' : 'latin1'));
  return text.length;
}
