import type { ArgumentType, ServiceCall, SimulatedExport } from '../dispatch/index.js';
import {
  ATTRIBUTE,
  ConsoleFile,
  FILE_ERROR,
  type FileNode,
  FindFile,
  fullPath,
  matchesPattern,
  VolumeError,
  VolumeFile,
} from '../files/index.js';
import type { ServiceResult } from '../threads/index.js';
import { consoleWrite } from './console.js';
import { defineExport } from './simulated-export.js';

/** Win32 errors (winerror.h) that have nothing to do with the volume. */
const ERROR = {
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
const INVALID_ATTRIBUTES = 0xffff_ffffn;

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

export interface OpenRequest {
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

function createFile(
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
const STANDARD = { input: 0x1_0003n, output: 0x1_0007n, error: 0x1_000bn } as const;
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

const LARGEST_TRANSFER = 0x1000_0000;

function readFile(
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

function writeFile(
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

const attributesOf = (node: FileNode): number => node.attributes || ATTRIBUTE.normal;

/** WIN32_FILE_ATTRIBUTE_DATA: attributes, three FILETIMEs, size. */
function attributeData(node: FileNode): Uint8Array {
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
function writeFindData({ memory }: ServiceCall, at: bigint, node: FileNode, unit: 1 | 2): void {
  const bytes = new Uint8Array(44 + 260 * unit + 14 * unit);
  bytes.set(attributeData(node));
  const name = node.path.replace(/^.*\\/, '').slice(0, 259);
  bytes.set(Buffer.from(name, unit === 2 ? 'utf16le' : 'latin1'), 44);
  memory.write(at, bytes);
}

/** Not a file of the volume nor the console: somebody else's, such as a device's. */
export const NOT_A_FILE = Symbol('not a file on the volume');
type DiskResult = ServiceResult | typeof NOT_A_FILE;

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

/** The functions of kernel32.dll about files that also take handles of devices; whoever has devices serves what is left. */
export function diskHandleExports(others: readonly SimulatedExport[] = []): SimulatedExport[] {
  const shared = (
    name: string,
    parameters: readonly ArgumentType[],
    serve: (call: ServiceCall, ...values: never[]) => DiskResult,
    failure: (call: ServiceCall) => bigint | number = () => 0,
  ): SimulatedExport => {
    const other = others.find((entry) => entry.name === name);
    return defineExport(name, parameters, (call, ...values) => {
      const result = serve(call, ...(values as never[]));
      if (result !== NOT_A_FILE) return result;
      return other?.serve(call) ?? fail(call, ERROR.invalidHandle, failure(call));
    });
  };
  const create = (name: string, text: 'wstring' | 'cstring') =>
    shared(
      name,
      [text, 'u32', 'u32', 'pointer', 'u32', 'u32', 'pointer'],
      (
        call,
        path: string,
        access: number,
        _share: number,
        _security: bigint,
        disposition: number,
        flags: number,
      ) => (isDevicePath(path) ? NOT_A_FILE : createFile(call, path, access, disposition, flags)),
      invalidHandle,
    );
  const own = [
    create('CreateFileW', 'wstring'),
    create('CreateFileA', 'cstring'),
    shared('ReadFile', ['pointer', 'pointer', 'u32', 'pointer', 'pointer'], readFile),
    shared('WriteFile', ['pointer', 'pointer', 'u32', 'pointer', 'pointer'], writeFile),
  ];
  const names = new Set(own.map(({ name }) => name));
  return [...own, ...others.filter(({ name }) => !names.has(name))];
}

/** Files, directories and attributes (fileapi.h). */
export function diskExports(): SimulatedExport[] {
  const onFile = <T>(call: ServiceCall, handle: bigint, failure: T, action: (file: VolumeFile) => T): T => {
    const file = fileOf(call, handle);
    return file instanceof VolumeFile ? action(file) : fail(call, ERROR.invalidHandle, failure);
  };
  const paths = ([1, 2] as const).flatMap((unit) => {
    const letter = unit === 1 ? 'A' : 'W';
    const text = unit === 1 ? ('cstring' as const) : ('wstring' as const);
    return [
      defineExport(`DeleteFile${letter}`, [text], (call, path) =>
        onVolume(call, 0, () => {
          call.kernel.volume.remove(absolute(call, path), false);
          return 1;
        }),
      ),
      defineExport(`CreateDirectory${letter}`, [text, 'pointer'], (call, path) =>
        onVolume(call, 0, () => {
          call.kernel.volume.create(absolute(call, path), true);
          return 1;
        }),
      ),
      defineExport(`RemoveDirectory${letter}`, [text], (call, path) =>
        onVolume(call, 0, () => {
          call.kernel.volume.remove(absolute(call, path), true);
          return 1;
        }),
      ),
      ...[
        [`MoveFile${letter}`, [text, text]] as const,
        [`MoveFileEx${letter}`, [text, text, 'u32']] as const,
      ].map(([name, parameters]) =>
        defineExport(name, parameters as readonly ['wstring', 'wstring', 'u32'], (call, from, to, flags) =>
          onVolume(call, 0, () => {
            const replace = name.includes('Ex') && (flags & 1) !== 0;
            call.kernel.volume.rename(absolute(call, from), absolute(call, to), replace);
            return 1;
          }),
        ),
      ),
      defineExport(`CopyFile${letter}`, [text, text, 'u32'], (call, from, to, failIfExists) =>
        onVolume(call, 0, () => {
          const { volume } = call.kernel;
          const source = volume.get(absolute(call, from));
          const target = absolute(call, to);
          if (failIfExists !== 0 && volume.find(target) !== undefined)
            throw new VolumeError(FILE_ERROR.fileExists, target);
          if (source.isDirectory) throw new VolumeError(FILE_ERROR.accessDenied, target);
          const copy = volume.find(target) ?? volume.create(target, false);
          if (copy.isDirectory) throw new VolumeError(FILE_ERROR.accessDenied, target);
          copy.resize(0);
          copy.write(0, source.read(0, source.size));
          return 1;
        }),
      ),
      defineExport(`GetFileAttributes${letter}`, [text], (call, path) =>
        onVolume(call, INVALID_ATTRIBUTES, () =>
          BigInt(attributesOf(call.kernel.volume.get(absolute(call, path)))),
        ),
      ),
      defineExport(`GetFileAttributesEx${letter}`, [text, 'u32', 'pointer'], (call, path, level, data) =>
        onVolume(call, 0, () => {
          if (level !== 0) return fail(call, ERROR.invalidParameter, 0);
          call.memory.write(data, attributeData(call.kernel.volume.get(absolute(call, path))));
          return 1;
        }),
      ),
      defineExport(`SetFileAttributes${letter}`, [text, 'u32'], (call, path, attributes) =>
        onVolume(call, 0, () => {
          const node = call.kernel.volume.get(absolute(call, path));
          node.attributes = (attributes & 0x27) | (node.isDirectory ? ATTRIBUTE.directory : 0);
          return 1;
        }),
      ),
      defineExport(
        `GetFullPathName${letter}`,
        [text, 'u32', 'pointer', 'pointer'],
        (call, path, room, to, part) => {
          const full = absolute(call, path);
          const length = giveText(call, to, room, full, unit);
          if (length < room && part !== 0n) {
            const index = full.lastIndexOf('\\') + 1;
            call.memory.writePointer(part, index === full.length ? 0n : to + BigInt(index * unit));
          }
          return length;
        },
      ),
      defineExport(`GetTempPath${letter}`, ['u32', 'pointer'], (call, room, to) =>
        giveText(call, to, room, 'C:\\Temp\\', unit),
      ),
      defineExport(
        `GetTempFileName${letter}`,
        [text, text, 'u32', 'pointer'],
        (call, folder, prefix, unique, to) =>
          onVolume(call, 0, () => {
            const { volume } = call.kernel;
            for (let number = unique & 0xffff || 1; ; number++) {
              const path = absolute(call, `${folder}\\${prefix.slice(0, 3)}${number.toString(16)}.tmp`);
              if (unique === 0) {
                if (volume.find(path) !== undefined) continue;
                volume.create(path, false);
              }
              giveText(call, to, 260, path, unit);
              return number;
            }
          }),
      ),
      defineExport(`GetCurrentDirectory${letter}`, ['u32', 'pointer'], (call, room, to) =>
        giveText(call, to, room, call.process.currentDirectory, unit),
      ),
      defineExport(`SetCurrentDirectory${letter}`, [text], (call, path) =>
        onVolume(call, 0, () => {
          const node = call.kernel.volume.get(absolute(call, path));
          if (!node.isDirectory) return fail(call, FILE_ERROR.directory, 0);
          call.process.currentDirectory = node.path;
          return 1;
        }),
      ),
      defineExport(`GetWindowsDirectory${letter}`, ['pointer', 'u32'], (call, to, room) =>
        giveText(call, to, room, 'C:\\Windows', unit),
      ),
      defineExport(`GetSystemDirectory${letter}`, ['pointer', 'u32'], (call, to, room) =>
        giveText(call, to, room, 'C:\\Windows\\System32', unit),
      ),
      defineExport(`GetDriveType${letter}`, [text], (_call, path) =>
        path === '' || /^c:/i.test(path) ? 3 : 1,
      ),
      defineExport(
        `GetDiskFreeSpace${letter}`,
        [text, 'pointer', 'pointer', 'pointer', 'pointer'],
        ({ memory }, _root, ...targets) => {
          [8, 512, 0x10_0000, 0x20_0000].forEach((value, index) => {
            const target = targets[index] ?? 0n;
            if (target !== 0n) memory.writeU32(target, value);
          });
          return 1;
        },
      ),
      defineExport(`GetVolumePathName${letter}`, [text, 'pointer', 'u32'], (call, _path, to, room) =>
        giveText(call, to, room, 'C:\\', unit) < room ? 1 : fail(call, ERROR.bufferOverflow, 0),
      ),
      defineExport(`FindFirstFile${letter}`, [text, 'pointer'], (call, path, data) =>
        onVolume(call, invalidHandle(call), () => {
          const full = absolute(call, path.replace(/[\\/][^\\/]*$|^[^\\/]*$/, '') || '.');
          const pattern = path.replace(/^.*[\\/]/, '');
          call.kernel.volume.get(full);
          const found = call.kernel.volume
            .list(full)
            .filter((node) => matchesPattern(node.path.replace(/^.*\\/, ''), pattern));
          const search = new FindFile(found);
          const first = search.next();
          if (first === undefined) throw new VolumeError(FILE_ERROR.fileNotFound, path);
          writeFindData(call, data, first, unit);
          return BigInt(call.process.handles.open(search));
        }),
      ),
      defineExport(`FindNextFile${letter}`, ['pointer', 'pointer'], (call, handle, data) => {
        const search = call.process.handles.get(handle, FindFile);
        if (search === undefined) return fail(call, ERROR.invalidHandle, 0);
        const node = search.next();
        if (node === undefined) return fail(call, ERROR.noMoreFiles, 0);
        writeFindData(call, data, node, unit);
        return 1;
      }),
    ];
  });
  return [
    ...paths,
    defineExport('FindClose', ['pointer'], ({ process }, handle) => (process.handles.close(handle) ? 1 : 0)),
    defineExport('GetFileSize', ['pointer', 'pointer'], (call, handle, high) =>
      onFile(call, handle, 0xffff_ffffn, ({ node }: VolumeFile): bigint => {
        if (high !== 0n) call.memory.writeU32(high, Math.floor(node.size / 2 ** 32));
        return BigInt(node.size >>> 0);
      }),
    ),
    defineExport('GetFileSizeEx', ['pointer', 'pointer'], (call, handle, size) =>
      onFile(call, handle, 0, ({ node }) => {
        call.memory.writeU64(size, BigInt(node.size));
        return 1;
      }),
    ),
    defineExport('GetFileType', ['pointer'], (call, handle) => {
      const file = fileOf(call, handle);
      return file === undefined ? fail(call, ERROR.invalidHandle, 0) : file instanceof ConsoleFile ? 2 : 1;
    }),
    defineExport('SetFilePointer', ['pointer', 'i32', 'pointer', 'u32'], (call, handle, low, high, origin) =>
      onFile(call, handle, 0xffff_ffffn, (file) => {
        const offset =
          high === 0n ? BigInt(low) : (BigInt(call.memory.readU32(high) | 0) << 32n) | BigInt(low >>> 0);
        const position = moveTo(file, offset, origin);
        if (position === undefined) return fail(call, 131, 0xffff_ffffn);
        if (high !== 0n) call.memory.writeU32(high, Math.floor(position / 2 ** 32));
        setLastError(call, 0);
        return BigInt(position >>> 0);
      }),
    ),
    defineExport(
      'SetFilePointerEx',
      ['pointer', 'i64', 'pointer', 'u32'],
      (call, handle, offset, result, origin) =>
        onFile(call, handle, 0, (file) => {
          const position = moveTo(file, offset, origin);
          if (position === undefined) return fail(call, 131, 0);
          if (result !== 0n) call.memory.writeU64(result, BigInt(position));
          return 1;
        }),
    ),
    defineExport('SetEndOfFile', ['pointer'], (call, handle) =>
      onFile(call, handle, 0, (file) => {
        if (!file.access.write) return fail(call, ERROR.noAccess, 0);
        if (file.position > LARGEST_TRANSFER) return fail(call, 112, 0);
        file.node.resize(file.position);
        return 1;
      }),
    ),
    defineExport('FlushFileBuffers', ['pointer'], (call, handle) =>
      fileOf(call, handle) === undefined ? fail(call, ERROR.invalidHandle, 0) : 1,
    ),
    defineExport(
      'SetFileTime',
      ['pointer', 'pointer', 'pointer', 'pointer'],
      (call, handle, created, _read, written) =>
        onFile(call, handle, 0, ({ node }) => {
          if (created !== 0n) node.created = call.memory.readU64(created);
          if (written !== 0n) node.modified = call.memory.readU64(written);
          return 1;
        }),
    ),
    defineExport(
      'GetFileTime',
      ['pointer', 'pointer', 'pointer', 'pointer'],
      (call, handle, created, read, written) =>
        onFile(call, handle, 0, ({ node }) => {
          if (created !== 0n) call.memory.writeU64(created, node.created);
          for (const target of [read, written])
            if (target !== 0n) call.memory.writeU64(target, node.modified);
          return 1;
        }),
    ),
    // BY_HANDLE_FILE_INFORMATION: attributes, three times, serial number, size, links, index.
    defineExport('GetFileInformationByHandle', ['pointer', 'pointer'], (call, handle, target) =>
      onFile(call, handle, 0, ({ node }) => {
        const bytes = new Uint8Array(52);
        const view = new DataView(bytes.buffer);
        bytes.set(attributeData(node).subarray(0, 28));
        view.setUint32(28, 0x1ab0_cafe, true);
        view.setUint32(32, Math.floor(node.size / 2 ** 32), true);
        view.setUint32(36, node.size >>> 0, true);
        view.setUint32(40, 1, true);
        view.setUint32(48, node.id, true);
        call.memory.write(target, bytes);
        return 1;
      }),
    ),
    ...(['LockFile', 'UnlockFile'] as const).map((name) =>
      defineExport(name, ['pointer', 'u32', 'u32', 'u32', 'u32'], (call, handle) =>
        onFile(call, handle, 0, () => 1),
      ),
    ),
    defineExport('LockFileEx', ['pointer', 'u32', 'u32', 'u32', 'u32', 'pointer'], (call, handle) =>
      onFile(call, handle, 0, () => 1),
    ),
    defineExport('UnlockFileEx', ['pointer', 'u32', 'u32', 'u32', 'pointer'], (call, handle) =>
      onFile(call, handle, 0, () => 1),
    ),
    defineExport('AreFileApisANSI', [], () => 1),
    defineExport('GetStdHandle', ['i32'], (call, which) => {
      const stream = ({ [-10]: 'input', [-11]: 'output', [-12]: 'error' } as const)[which];
      return stream === undefined ? fail(call, ERROR.invalidHandle, invalidHandle(call)) : STANDARD[stream];
    }),
    ...([1, 2] as const).map((unit) =>
      defineExport(
        `WriteConsole${unit === 1 ? 'A' : 'W'}`,
        ['pointer', 'pointer', 'u32', 'pointer', 'pointer'],
        (call, handle, buffer, count, written) => {
          const file = fileOf(call, handle);
          if (!(file instanceof ConsoleFile) || file.stream === 'input')
            return fail(call, ERROR.invalidHandle, 0);
          const bytes = call.memory.read(buffer, count * unit);
          consoleWrite(
            call,
            file.stream,
            unit === 1 ? bytes : Buffer.from(Buffer.from(bytes).toString('utf16le'), 'utf8'),
          );
          if (written !== 0n) call.memory.writeU32(written, count);
          return 1;
        },
      ),
    ),
    defineExport('GetConsoleMode', ['pointer', 'pointer'], (call, handle, mode) => {
      if (!(fileOf(call, handle) instanceof ConsoleFile)) return fail(call, ERROR.invalidHandle, 0);
      call.memory.writeU32(mode, 3);
      return 1;
    }),
    defineExport('SetConsoleMode', ['pointer', 'u32'], () => 1),
    defineExport('GetConsoleOutputCP', [], () => 65001),
    defineExport('GetConsoleCP', [], () => 65001),
  ];
}
