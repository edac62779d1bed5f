import type { ServiceCall, SimulatedExport } from '../../dispatch/index.js';
import { cdecl, wide } from '../simulated-export.js';
import { descriptorOf, openDescriptor } from './descriptor.js';
import { ERRNO, failed, invalidParameter } from './state.js';
import {
  closeStream,
  EOF,
  FIELD,
  flushAll,
  modeFlags,
  newStream,
  OPEN,
  openStream,
  STREAMS,
  type Stream,
  standardStreams,
  streamAt,
  streamOf,
} from './stream.js';

const bytesOf = (text: string): Uint8Array => Buffer.from(text, 'latin1');

/** Streams (stdio.h): in binary and text mode, narrow; wide characters are bytes of the locale "C". */
export function streamExports(): SimulatedExport[] {
  const on = <T extends bigint | number>(
    name: string,
    call: ServiceCall,
    address: bigint,
    failure: T,
    action: (stream: Stream) => T,
  ) => {
    const stream = streamOf(call, address);
    return stream === undefined ? invalidParameter(call, name, failure) : action(stream);
  };
  const one = <T extends bigint | number>(
    names: readonly string[],
    failure: T,
    action: (stream: Stream) => T,
  ) =>
    names.map((name) =>
      cdecl(name, ['pointer'], (call, address) => on(name, call, address, failure, action)),
    );
  const transfer = (
    names: readonly string[],
    action: (stream: Stream, buffer: bigint, size: bigint, count: bigint) => bigint,
  ) =>
    names.map((name) =>
      cdecl(name, ['pointer', 'size', 'size', 'pointer'], (call, buffer, size, count, address) =>
        size === 0n || count === 0n
          ? 0n
          : on(name, call, address, 0n, (stream) => action(stream, buffer, size, count)),
      ),
    );
  const LARGEST = 0x1000_0000n;
  const put = (stream: Stream, code: number): number =>
    stream.write(Uint8Array.of(code & 0xff)) ? code & 0xff : EOF;
  return [
    cdecl('__acrt_iob_func', ['u32'], (call, index) => {
      standardStreams(call);
      return streamAt(call, Math.min(index, 2));
    }),
    ...(['fopen', '_wfopen'] as const).map((name) =>
      cdecl(
        name,
        name === 'fopen' ? ['cstring', 'cstring'] : (['wstring', 'wstring'] as const),
        (call, path, mode) => openStream(call, path, mode),
      ),
    ),
    ...(['_fsopen', '_wfsopen'] as const).map((name) =>
      cdecl(
        name,
        name === '_fsopen' ? ['cstring', 'cstring', 'i32'] : (['wstring', 'wstring', 'i32'] as const),
        (call, path, mode) => openStream(call, path, mode),
      ),
    ),
    ...(['fopen_s', '_wfopen_s'] as const).map((name) =>
      cdecl(
        name,
        name === 'fopen_s' ? ['pointer', 'cstring', 'cstring'] : (['pointer', 'wstring', 'wstring'] as const),
        (call, target, path, mode) => {
          if (target === 0n) return invalidParameter(call, name, ERRNO.EINVAL);
          const stream = openStream(call, path, mode);
          call.memory.writePointer(target, stream);
          return stream === 0n ? ERRNO.ENOENT : 0;
        },
      ),
    ),
    ...(['freopen', '_wfreopen'] as const).map((name) =>
      cdecl(
        name,
        name === 'freopen' ? ['cstring', 'cstring', 'pointer'] : (['wstring', 'wstring', 'pointer'] as const),
        (call, path, mode, address) =>
          on(name, call, address, 0n, (stream) => {
            closeStream(stream);
            const flags = modeFlags(mode);
            const descriptor = flags === undefined ? -1 : openDescriptor(call, path, flags);
            if (descriptor < 0) return 0n;
            call.memory.writeU32(address + FIELD.descriptor, descriptor);
            stream.flags = OPEN;
            return address;
          }),
      ),
    ),
    ...(['_fdopen', '_wfdopen'] as const).map((name) =>
      cdecl(name, ['i32', name === '_fdopen' ? 'cstring' : 'wstring'] as const, (call, descriptor) =>
        descriptorOf(call, descriptor) === undefined
          ? failed(call, ERRNO.EBADF, 0n)
          : newStream(call, descriptor),
      ),
    ),
    cdecl('tmpfile', [], (call) =>
      openStream(call, `C:\\Temp\\t${call.kernel.volume.paths.length}.tmp`, 'w+bD'),
    ),
    ...one(['fclose', '_fclose_nolock'], EOF, closeStream),
    cdecl('_fcloseall', [], (call) => {
      let closed = 0;
      for (let index = 3; index < STREAMS; index++) {
        const stream = streamOf(call, streamAt(call, index));
        if (stream === undefined) continue;
        closeStream(stream);
        closed += 1;
      }
      return closed;
    }),
    ...['fflush', '_fflush_nolock'].map((name) =>
      cdecl(name, ['pointer'], (call, address) => {
        if (address === 0n) {
          flushAll(call);
          return 0;
        }
        return on(name, call, address, EOF, (stream) => {
          stream.flush();
          return 0;
        });
      }),
    ),
    cdecl('_flushall', [], (call) => {
      flushAll(call);
      return 3;
    }),
    ...transfer(['fread', '_fread_nolock'], (stream, buffer, size, count) => {
      const wanted = size * count > LARGEST ? LARGEST : size * count;
      stream.call.memory.probe(buffer, 1, 'write');
      const bytes = stream.read(Number(wanted));
      stream.call.memory.write(buffer, bytes);
      return BigInt(bytes.length) / size;
    }),
    cdecl(
      'fread_s',
      ['pointer', 'size', 'size', 'size', 'pointer'],
      (call, buffer, room, size, count, address) =>
        size === 0n || count === 0n
          ? 0n
          : on('fread_s', call, address, 0n, (stream) => {
              const wanted = size * count < room ? size * count : room;
              const bytes = stream.read(Number(wanted < LARGEST ? wanted : LARGEST));
              call.memory.write(buffer, bytes);
              return BigInt(bytes.length) / size;
            }),
    ),
    ...transfer(['fwrite', '_fwrite_nolock'], (stream, buffer, size, count) =>
      stream.write(stream.call.memory.read(buffer, size * count)) ? count : 0n,
    ),
    ...one(['fgetc', 'getc', '_fgetc_nolock', '_getc_nolock'], EOF, (stream) => stream.next() ?? EOF),
    cdecl('getchar', [], (call) => streamOf(call, streamAt(call, 0))?.next() ?? EOF),
    cdecl('fgets', ['pointer', 'i32', 'pointer'], (call, buffer, room, address) =>
      on('fgets', call, address, 0n, (stream) => {
        const line: number[] = [];
        while (line.length < room - 1) {
          const code = stream.next();
          if (code === undefined) break;
          line.push(code);
          if (code === 0x0a) break;
        }
        if (line.length === 0 && room > 1) return 0n;
        call.memory.write(buffer, Uint8Array.from([...line, 0]));
        return buffer;
      }),
    ),
    ...['ungetc', '_ungetc_nolock'].map((name) =>
      cdecl(name, ['i32', 'pointer'], (call, code, address) =>
        on(name, call, address, EOF, (stream) =>
          code !== EOF && stream.push(code & 0xff) ? code & 0xff : EOF,
        ),
      ),
    ),
    ...['fputc', 'putc', '_fputc_nolock', '_putc_nolock'].map((name) =>
      cdecl(name, ['i32', 'pointer'], (call, code, address) =>
        on(name, call, address, EOF, (stream) => put(stream, code)),
      ),
    ),
    cdecl('putchar', ['i32'], (call, code) =>
      on('putchar', call, streamAt(call, 1), EOF, (stream) => put(stream, code)),
    ),
    ...(['fputs', 'fputws'] as const).map((name) =>
      cdecl(name, [name === 'fputs' ? 'cstring' : 'wstring', 'pointer'] as const, (call, text, address) =>
        on(name, call, address, EOF, (stream) => (stream.write(bytesOf(text)) ? 0 : EOF)),
      ),
    ),
    cdecl('puts', ['cstring'], (call, text) =>
      on('puts', call, streamAt(call, 1), EOF, (stream) => (stream.write(bytesOf(`${text}\n`)) ? 0 : EOF)),
    ),
    cdecl('fseek', ['pointer', 'i32', 'i32'], (call, address, offset, origin) =>
      on('fseek', call, address, -1, (stream) => (stream.seek(BigInt(offset), origin) ? 0 : -1)),
    ),
    cdecl('_fseeki64', ['pointer', 'i64', 'i32'], (call, address, offset, origin) =>
      on('_fseeki64', call, address, -1, (stream) => (stream.seek(offset, origin) ? 0 : -1)),
    ),
    ...one(['ftell'], 0xffff_ffffn, (stream) => BigInt.asUintN(32, stream.tell())),
    cdecl('_ftelli64', ['pointer'], (call, address) => {
      const stream = streamOf(call, address);
      return stream === undefined ? invalidParameter(call, '_ftelli64', -1n) : wide(stream.tell());
    }),
    cdecl('rewind', ['pointer'], (call, address) => {
      const stream = streamOf(call, address);
      if (stream === undefined) return invalidParameter(call, 'rewind', 0);
      stream.seek(0n, 0);
      stream.clear();
      return undefined;
    }),
    cdecl('fgetpos', ['pointer', 'pointer'], (call, address, target) =>
      on('fgetpos', call, address, -1, (stream) => {
        call.memory.writeU64(target, stream.tell());
        return 0;
      }),
    ),
    cdecl('fsetpos', ['pointer', 'pointer'], (call, address, source) =>
      on('fsetpos', call, address, -1, (stream) => (stream.seek(call.memory.readU64(source), 0) ? 0 : -1)),
    ),
    ...one(['feof'], 0, (stream) => (stream.atEnd ? 1 : 0)),
    ...one(['ferror'], 0, (stream) => (stream.hasError ? 1 : 0)),
    ...one(['clearerr'], 0, (stream) => {
      stream.clear();
      return 0;
    }),
    ...one(['_fileno'], -1, (stream) => stream.descriptor),
    cdecl('setvbuf', ['pointer', 'pointer', 'i32', 'size'], () => 0),
    cdecl('setbuf', ['pointer', 'pointer'], () => {}),
    ...one(['_lock_file', '_unlock_file'], 0, () => 0),
    cdecl('perror', ['cstring'], (call, text) => {
      const stream = streamOf(call, streamAt(call, 2));
      stream?.write(bytesOf(`${text === '' ? '' : `${text}: `}error\n`));
    }),
  ];
}
