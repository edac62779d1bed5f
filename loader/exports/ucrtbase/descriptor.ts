import type { ServiceCall } from '../../dispatch/index.js';
import {
  ATTRIBUTE,
  ConsoleFile,
  FILE_ERROR,
  type FileNode,
  VolumeError,
  type VolumeFile,
} from '../../files/index.js';
import { consoleFlush } from '../console.js';
import { fileOf, openFile, readFrom, standardHandle, writeTo } from '../disk-access.js';
import { ERRNO, failed, PROCESS, processData } from './state.js';

/** fcntl.h */
export const O = {
  writeOnly: 1,
  readWrite: 2,
  append: 8,
  create: 0x100,
  truncate: 0x200,
  exclusive: 0x400,
  text: 0x4000,
  binary: 0x8000,
  temporary: 0x40,
} as const;
export const TEXT = 2;
const OPEN = 1;
const ENTRY = 16n;
const DESCRIPTORS = 64;
const CONTROL_Z = 0x1a;

/** What a refusal of the volume is in errno. */
export function errnoOf({ code }: VolumeError): number {
  switch (code) {
    case FILE_ERROR.fileNotFound:
    case FILE_ERROR.pathNotFound:
      return ERRNO.ENOENT;
    case FILE_ERROR.fileExists:
    case FILE_ERROR.alreadyExists:
      return ERRNO.EEXIST;
    case FILE_ERROR.directoryNotEmpty:
      return ERRNO.ENOTEMPTY;
    case FILE_ERROR.invalidName:
    case FILE_ERROR.directory:
      return ERRNO.EINVAL;
    default:
      return ERRNO.EACCES;
  }
}

export function onFiles<T>(call: ServiceCall, failure: T, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof VolumeError)) throw error;
    return failed(call, errnoOf(error), failure);
  }
}

export const entryOf = (call: ServiceCall, descriptor: number): bigint =>
  processData(call, PROCESS.descriptors) + ENTRY * BigInt(descriptor);

/** Descriptors 0, 1 and 2 are the console from the start. */
function standard(call: ServiceCall): void {
  const first = entryOf(call, 0);
  if (call.memory.readU32(first + 8n) !== 0) return;
  for (const [index, stream] of (['input', 'output', 'error'] as const).entries()) {
    call.memory.writeU64(entryOf(call, index), standardHandle(stream));
    call.memory.writeU32(entryOf(call, index) + 8n, OPEN | TEXT);
  }
}

export interface Descriptor {
  readonly file: VolumeFile | ConsoleFile;
  readonly handle: bigint;
  readonly text: boolean;
}

export function descriptorOf(call: ServiceCall, descriptor: number): Descriptor | undefined {
  standard(call);
  if (descriptor < 0 || descriptor >= DESCRIPTORS) return undefined;
  const at = entryOf(call, descriptor);
  const flags = call.memory.readU32(at + 8n);
  if ((flags & OPEN) === 0) return undefined;
  const handle = call.memory.readU64(at);
  const file = fileOf(call, handle);
  return file === undefined ? undefined : { file, handle, text: (flags & TEXT) !== 0 };
}

/** The lowest free descriptor, from now on that of `handle`; -1 with EMFILE when there is none. */
export function assign(call: ServiceCall, handle: bigint, text: boolean): number {
  standard(call);
  for (let index = 0; index < DESCRIPTORS; index++) {
    const at = entryOf(call, index);
    if ((call.memory.readU32(at + 8n) & OPEN) !== 0) continue;
    call.memory.writeU64(at, handle);
    call.memory.writeU32(at + 8n, OPEN | (text ? TEXT : 0));
    return index;
  }
  return failed(call, ERRNO.EMFILE, -1);
}

export function openDescriptor(call: ServiceCall, path: string, flags: number): number {
  return onFiles(call, -1, () => {
    const create = (flags & O.create) !== 0;
    const disposition =
      create && (flags & O.exclusive) !== 0
        ? 1
        : (flags & O.truncate) !== 0
          ? create
            ? 2
            : 5
          : create
            ? 4
            : 3;
    const write = (flags & (O.writeOnly | O.readWrite)) !== 0;
    const { file } = openFile(call, path, {
      read: (flags & O.writeOnly) === 0,
      write,
      append: write && (flags & O.append) !== 0,
      disposition,
      deleteOnClose: (flags & O.temporary) !== 0,
    });
    const handle = BigInt(call.process.handles.open(file));
    const descriptor = assign(call, handle, (flags & O.binary) === 0);
    if (descriptor < 0) call.process.handles.close(handle);
    return descriptor;
  });
}

export function closeDescriptor(call: ServiceCall, descriptor: number): number {
  const open = descriptorOf(call, descriptor);
  if (open === undefined) return failed(call, ERRNO.EBADF, -1);
  if (open.file instanceof ConsoleFile && open.file.stream !== 'input') consoleFlush(call, open.file.stream);
  call.process.handles.close(open.handle);
  call.memory.writeU32(entryOf(call, descriptor) + 8n, 0);
  // Never the standard ones again: `standard` asks the first entry.
  if (descriptor === 0) call.memory.writeU32(entryOf(call, 0) + 8n, 4);
  return 0;
}

/** Bytes as the program sees them: in text mode CR LF is LF, and Ctrl-Z is the end. undefined: not readable. */
export function readDescriptor({ file, text }: Descriptor, length: number): Uint8Array | undefined {
  const bytes = readFrom(file, length);
  if (bytes === undefined || !text || file instanceof ConsoleFile) return bytes;
  const result: number[] = [];
  let start = file.position - bytes.length;
  let rest = bytes;
  while (rest.length > 0 && result.length < length) {
    let index = 0;
    for (; index < rest.length && result.length < length; index++) {
      const code = rest[index] ?? 0;
      if (code === CONTROL_Z) {
        file.position = start + index;
        return Uint8Array.from(result);
      }
      const next = index + 1 < rest.length ? rest[index + 1] : file.node.read(start + index + 1, 1)[0];
      if (code !== 0x0d || next !== 0x0a) result.push(code);
    }
    file.position = start + index;
    start = file.position;
    rest =
      result.length < length
        ? (readFrom(file, length - result.length) ?? new Uint8Array())
        : new Uint8Array();
  }
  return Uint8Array.from(result);
}

export function writeDescriptor(call: ServiceCall, { file, text }: Descriptor, bytes: Uint8Array): boolean {
  if (!text || file instanceof ConsoleFile || !bytes.includes(0x0a)) return writeTo(call, file, bytes);
  const lines: number[] = [];
  for (const code of bytes) {
    if (code === 0x0a) lines.push(0x0d);
    lines.push(code);
  }
  return writeTo(call, file, Uint8Array.from(lines));
}

/** struct stat of the universal C runtime: the sizes of st_size and of the times differ. */
export function statBytes(node: FileNode, size64: boolean, time64: boolean): Uint8Array {
  const bytes = new Uint8Array(size64 ? (time64 ? 56 : 48) : time64 ? 48 : 36);
  const view = new DataView(bytes.buffer);
  const readable = (node.attributes & ATTRIBUTE.readOnly) !== 0 ? 0x124 : 0x1b6;
  view.setUint16(6, (node.isDirectory ? 0x4000 | 0x49 : 0x8000) | readable, true);
  view.setUint16(8, 1, true);
  view.setUint32(0, 2, true);
  view.setUint32(16, 2, true);
  const sizeAt = size64 ? 24 : 20;
  if (size64) view.setBigInt64(sizeAt, BigInt(node.size), true);
  else view.setUint32(sizeAt, node.size, true);
  const timesAt = size64 ? 32 : 24;
  const times = [node.modified, node.modified, node.created].map(
    (time) => (time - 116_444_736_000_000_000n) / 10_000_000n,
  );
  for (const [index, time] of times.entries())
    if (time64) view.setBigInt64(timesAt + 8 * index, time, true);
    else view.setUint32(timesAt + 4 * index, Number(BigInt.asUintN(32, time)), true);
  return bytes;
}

export const STATS = [
  ['stat64', true, true],
  ['stat64i32', false, true],
  ['stat32', false, false],
  ['stat32i64', true, false],
] as const;
