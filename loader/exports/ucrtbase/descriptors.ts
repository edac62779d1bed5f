import type { ServiceCall, SimulatedExport } from '../../dispatch/index.js';
import {
  ATTRIBUTE,
  ConsoleFile,
  FILE_ERROR,
  type FileNode,
  VolumeError,
  VolumeFile,
} from '../../files/index.js';
import { consoleFlush } from '../console.js';
import { absolute, fileOf, moveTo, openFile, readFrom, standardHandle, writeTo } from '../disk-access.js';
import { cdecl, wide } from '../simulated-export.js';
import { ERRNO, failed, PROCESS, processData } from './state.js';

/** fcntl.h */
const O = {
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
const TEXT = 2;
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

const entryOf = (call: ServiceCall, descriptor: number): bigint =>
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
function assign(call: ServiceCall, handle: bigint, text: boolean): number {
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
function statBytes(node: FileNode, size64: boolean, time64: boolean): Uint8Array {
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

const STATS = [
  ['stat64', true, true],
  ['stat64i32', false, true],
  ['stat32', false, false],
  ['stat32i64', true, false],
] as const;

/** Low-level files (io.h, sys/stat.h, direct.h). */
export function descriptorExports(): SimulatedExport[] {
  const onDescriptor = <T>(
    call: ServiceCall,
    descriptor: number,
    failure: T,
    action: (open: Descriptor) => T,
  ): T => {
    const open = descriptorOf(call, descriptor);
    return open === undefined ? failed(call, ERRNO.EBADF, failure) : action(open);
  };
  const seek = (call: ServiceCall, descriptor: number, offset: bigint, origin: number): bigint =>
    onDescriptor(call, descriptor, -1n, ({ file }) => {
      if (file instanceof ConsoleFile) return failed(call, ERRNO.EBADF, -1n);
      const position = moveTo(file, offset, origin);
      return position === undefined ? failed(call, ERRNO.EINVAL, -1n) : BigInt(position);
    });
  const narrowAndWide = ([1, 2] as const).flatMap((unit) => {
    const name = (narrow: string) => (unit === 1 ? `_${narrow}` : `_w${narrow}`);
    const text = unit === 1 ? ('cstring' as const) : ('wstring' as const);
    return [
      cdecl(name('open'), [text, 'i32', 'i32'], openDescriptor),
      cdecl(name('sopen'), [text, 'i32', 'i32', 'i32'], openDescriptor),
      cdecl(
        unit === 1 ? '_sopen_s' : '_wsopen_s',
        ['pointer', text, 'i32', 'i32', 'i32'],
        (call, target, path, flags) => {
          const descriptor = openDescriptor(call, path, flags);
          call.memory.writeU32(target, descriptor >>> 0);
          return descriptor < 0 ? ERRNO.ENOENT : 0;
        },
      ),
      cdecl(name('creat'), [text, 'i32'], (call, path) =>
        openDescriptor(call, path, O.create | O.truncate | O.writeOnly),
      ),
      ...(unit === 1 ? ['remove', '_unlink'] : ['_wremove', '_wunlink']).map((named) =>
        cdecl(named, [text], (call, path) =>
          onFiles(call, -1, () => {
            call.kernel.volume.remove(absolute(call, path), false);
            return 0;
          }),
        ),
      ),
      cdecl(unit === 1 ? 'rename' : '_wrename', [text, text], (call, from, to) =>
        onFiles(call, -1, () => {
          call.kernel.volume.rename(absolute(call, from), absolute(call, to), false);
          return 0;
        }),
      ),
      cdecl(name('mkdir'), [text], (call, path) =>
        onFiles(call, -1, () => {
          call.kernel.volume.create(absolute(call, path), true);
          return 0;
        }),
      ),
      cdecl(name('rmdir'), [text], (call, path) =>
        onFiles(call, -1, () => {
          call.kernel.volume.remove(absolute(call, path), true);
          return 0;
        }),
      ),
      cdecl(name('chdir'), [text], (call, path) =>
        onFiles(call, -1, () => {
          call.process.currentDirectory = call.kernel.volume.get(absolute(call, path)).path;
          return 0;
        }),
      ),
      cdecl(name('access'), [text, 'i32'], (call, path, mode) =>
        onFiles(call, -1, () => {
          const node = call.kernel.volume.get(absolute(call, path));
          const isDenied = (mode & 2) !== 0 && (node.attributes & ATTRIBUTE.readOnly) !== 0;
          return isDenied ? failed(call, ERRNO.EACCES, -1) : 0;
        }),
      ),
      cdecl(name('chmod'), [text, 'i32'], (call, path, mode) =>
        onFiles(call, -1, () => {
          const node = call.kernel.volume.get(absolute(call, path));
          node.attributes =
            (mode & 0x80) !== 0
              ? node.attributes & ~ATTRIBUTE.readOnly
              : node.attributes | ATTRIBUTE.readOnly;
          return 0;
        }),
      ),
      cdecl(name('getcwd'), ['pointer', 'i32'], (call, to, room) => {
        const path = call.process.currentDirectory;
        if (to !== 0n && path.length >= room) return failed(call, ERRNO.ERANGE, 0n);
        const target =
          to === 0n ? call.process.allocateHeap(call.thread, Math.max(room, path.length + 1) * unit) : to;
        call.memory.write(target, Buffer.from(`${path}\0`, unit === 1 ? 'latin1' : 'utf16le'));
        return target;
      }),
      cdecl(name('fullpath'), ['pointer', text, 'size'], (call, to, path, room) => {
        const full = absolute(call, path);
        if (to !== 0n && BigInt(full.length) >= room) return failed(call, ERRNO.ERANGE, 0n);
        const target = to === 0n ? call.process.allocateHeap(call.thread, (full.length + 1) * unit) : to;
        call.memory.write(target, Buffer.from(`${full}\0`, unit === 1 ? 'latin1' : 'utf16le'));
        return target;
      }),
      ...STATS.map(([named, size64, time64]) =>
        cdecl(name(named), [text, 'pointer'], (call, path, target) =>
          onFiles(call, -1, () => {
            call.memory.write(
              target,
              statBytes(call.kernel.volume.get(absolute(call, path)), size64, time64),
            );
            return 0;
          }),
        ),
      ),
    ];
  });
  return [
    ...narrowAndWide,
    ...STATS.map(([named, size64, time64]) =>
      cdecl(`_f${named}`, ['i32', 'pointer'], (call, descriptor, target) =>
        onDescriptor(call, descriptor, -1, ({ file }) => {
          if (file instanceof ConsoleFile) return failed(call, ERRNO.EBADF, -1);
          call.memory.write(target, statBytes(file.node, size64, time64));
          return 0;
        }),
      ),
    ),
    cdecl('_close', ['i32'], closeDescriptor),
    cdecl('_read', ['i32', 'pointer', 'u32'], (call, descriptor, buffer, length) =>
      onDescriptor(call, descriptor, -1, (open) => {
        const before = open.file instanceof VolumeFile ? open.file.position : 0;
        const bytes = readDescriptor(open, Math.min(length, 0x1000_0000));
        if (bytes === undefined) return failed(call, ERRNO.EBADF, -1);
        try {
          call.memory.write(buffer, bytes);
        } catch (error) {
          if (open.file instanceof VolumeFile) open.file.position = before;
          throw error;
        }
        return bytes.length;
      }),
    ),
    cdecl('_write', ['i32', 'pointer', 'u32'], (call, descriptor, buffer, length) =>
      onDescriptor(call, descriptor, -1, (open) =>
        writeDescriptor(call, open, call.memory.read(buffer, length))
          ? length
          : failed(call, ERRNO.EBADF, -1),
      ),
    ),
    cdecl('_lseek', ['i32', 'i32', 'i32'], (call, descriptor, offset, origin) =>
      BigInt.asUintN(32, seek(call, descriptor, BigInt(offset), origin)),
    ),
    cdecl('_lseeki64', ['i32', 'i64', 'i32'], (call, descriptor, offset, origin) =>
      wide(seek(call, descriptor, offset, origin)),
    ),
    cdecl('_tell', ['i32'], (call, descriptor) => BigInt.asUintN(32, seek(call, descriptor, 0n, 1))),
    cdecl('_telli64', ['i32'], (call, descriptor) => wide(seek(call, descriptor, 0n, 1))),
    cdecl('_filelength', ['i32'], (call, descriptor) =>
      onDescriptor(call, descriptor, -1, ({ file }) => (file instanceof VolumeFile ? file.node.size : 0)),
    ),
    cdecl('_filelengthi64', ['i32'], (call, descriptor) =>
      wide(
        onDescriptor(call, descriptor, -1n, ({ file }) =>
          BigInt(file instanceof VolumeFile ? file.node.size : 0),
        ),
      ),
    ),
    cdecl('_eof', ['i32'], (call, descriptor) =>
      onDescriptor(call, descriptor, -1, ({ file }) =>
        file instanceof VolumeFile && file.position < file.node.size ? 0 : 1,
      ),
    ),
    ...(['_chsize', '_chsize_s'] as const).map((name) =>
      cdecl(name, ['i32', name === '_chsize' ? 'i32' : 'i64'] as const, (call, descriptor, size) =>
        onDescriptor(call, descriptor, -1, ({ file }) => {
          if (!(file instanceof VolumeFile) || !file.access.write || size < 0 || size > 0x1000_0000)
            return failed(call, ERRNO.EACCES, name === '_chsize' ? -1 : ERRNO.EACCES);
          file.node.resize(Number(size));
          return 0;
        }),
      ),
    ),
    cdecl('_commit', ['i32'], (call, descriptor) => onDescriptor(call, descriptor, -1, () => 0)),
    cdecl('_isatty', ['i32'], (call, descriptor) =>
      onDescriptor(call, descriptor, 0, ({ file }) => (file instanceof ConsoleFile ? 0x40 : 0)),
    ),
    cdecl('_setmode', ['i32', 'i32'], (call, descriptor, mode) =>
      onDescriptor(call, descriptor, -1, ({ text }) => {
        const at = entryOf(call, descriptor) + 8n;
        const flags = call.memory.readU32(at);
        call.memory.writeU32(at, (mode & O.binary) !== 0 ? flags & ~TEXT : flags | TEXT);
        return text ? O.text : O.binary;
      }),
    ),
    cdecl('_get_osfhandle', ['i32'], (call, descriptor) =>
      onDescriptor(call, descriptor, BigInt.asUintN(8 * call.pointerSize, -1n), ({ handle }) => handle),
    ),
    cdecl('_open_osfhandle', ['pointer', 'i32'], (call, handle, flags) =>
      fileOf(call, handle) === undefined
        ? failed(call, ERRNO.EBADF, -1)
        : assign(call, handle, (flags & O.text) !== 0),
    ),
    cdecl('_dup', ['i32'], (call, descriptor) =>
      onDescriptor(call, descriptor, -1, ({ file, text }) =>
        assign(call, BigInt(call.process.handles.open(file)), text),
      ),
    ),
    cdecl('_umask', ['i32'], (call, mask) => {
      const at = processData(call, PROCESS.umask);
      const before = call.memory.readU32(at);
      call.memory.writeU32(at, mask >>> 0);
      return before;
    }),
  ];
}
