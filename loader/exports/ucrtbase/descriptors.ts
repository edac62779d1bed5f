import type { ServiceCall, SimulatedExport } from '../../dispatch/index.js';
import { ATTRIBUTE, ConsoleFile, VolumeFile } from '../../files/index.js';
import { changeProcess } from '../../processes/index.js';
import { absolute, fileOf, moveTo } from '../disk-access.js';
import { cdecl, wide } from '../simulated-export.js';
import {
  assign,
  closeDescriptor,
  type Descriptor,
  descriptorOf,
  entryOf,
  O,
  onFiles,
  openDescriptor,
  readDescriptor,
  STATS,
  statBytes,
  TEXT,
  writeDescriptor,
} from './descriptor.js';
import { ERRNO, failed, PROCESS, processData } from './state.js';

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
          changeProcess(call.process, {
            currentDirectory: call.kernel.volume.get(absolute(call, path)).path,
          });
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
