import type { ArgumentType, ServiceCall, SimulatedExport } from '../dispatch/index.js';
import { ConsoleFile, VolumeFile } from '../files/index.js';
import { consoleWrite } from './console.js';
import {
  attributeData,
  createFile,
  type DiskResult,
  ERROR,
  fail,
  fileOf,
  invalidHandle,
  isDevicePath,
  LARGEST_TRANSFER,
  moveTo,
  NOT_A_FILE,
  readFile,
  STANDARD,
  setLastError,
  writeFile,
} from './disk-access.js';
import { pathExports } from './disk-paths.js';
import { defineExport } from './simulated-export.js';

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
  return [
    ...pathExports(),
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
