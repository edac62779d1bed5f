import type { ServiceCall, SimulatedExport } from '../../dispatch/index.js';
import { ConsoleFile, VolumeFile } from '../../files/index.js';
import { consoleFlush } from '../console.js';
import { moveTo } from '../disk-access.js';
import { cdecl, wide } from '../simulated-export.js';
import {
  closeDescriptor,
  type Descriptor,
  descriptorOf,
  openDescriptor,
  readDescriptor,
  writeDescriptor,
} from './descriptors.js';
import { ERRNO, failed, invalidParameter, PROCESS, processData } from './state.js';

/** FILE, as it lies in the process: the runtime's own affair, programs know its address only. */
const FIELD = { flags: 0n, descriptor: 4n, pushed: 8n, characters: 0xcn } as const;
const STREAM_SIZE = 0x40n;
const STREAMS = 64;
const OPEN = 1;
const AT_END = 2;
const ERROR = 4;
const MOST_PUSHED = 4;
export const EOF = -1;

const streamAt = (call: ServiceCall, index: number): bigint =>
  processData(call, PROCESS.streams) + STREAM_SIZE * BigInt(index);

/** A FILE* of the program while it is used. Nothing is buffered: files are as they were written. */
export class Stream {
  constructor(
    readonly call: ServiceCall,
    readonly address: bigint,
  ) {}

  get flags(): number {
    return this.call.memory.readU32(this.address + FIELD.flags);
  }

  set flags(value: number) {
    this.call.memory.writeU32(this.address + FIELD.flags, value);
  }

  get descriptor(): number {
    return this.call.memory.readU32(this.address + FIELD.descriptor) | 0;
  }

  get open(): Descriptor | undefined {
    return descriptorOf(this.call, this.descriptor);
  }

  get atEnd(): boolean {
    return (this.flags & AT_END) !== 0;
  }

  get hasError(): boolean {
    return (this.flags & ERROR) !== 0;
  }

  clear(): void {
    this.flags &= ~(AT_END | ERROR);
  }

  fail(error: number): void {
    failed(this.call, error, 0);
    this.flags |= ERROR;
  }

  /** Characters that ungetc has put back. */
  get pushed(): number {
    return this.call.memory.readU32(this.address + FIELD.pushed);
  }

  push(code: number): boolean {
    const count = this.pushed;
    if (count >= MOST_PUSHED) return false;
    this.call.memory.writeU8(this.address + FIELD.characters + BigInt(count), code);
    this.call.memory.writeU32(this.address + FIELD.pushed, count + 1);
    this.flags &= ~AT_END;
    return true;
  }

  read(length: number): Uint8Array {
    const { memory } = this.call;
    const taken: number[] = [];
    for (let count = this.pushed; count > 0 && taken.length < length; count--) {
      taken.push(memory.readU8(this.address + FIELD.characters + BigInt(count - 1)));
      memory.writeU32(this.address + FIELD.pushed, count - 1);
    }
    if (taken.length === length) return Uint8Array.from(taken);
    const { open } = this;
    const bytes = open === undefined ? undefined : readDescriptor(open, length - taken.length);
    if (bytes === undefined) this.fail(ERRNO.EBADF);
    else if (bytes.length < length - taken.length) this.flags |= AT_END;
    return Uint8Array.from([...taken, ...(bytes ?? [])]);
  }

  /** The next byte; undefined at the end. */
  next(): number | undefined {
    return this.read(1)[0];
  }

  write(bytes: Uint8Array): boolean {
    const { open } = this;
    if (open !== undefined && writeDescriptor(this.call, open, bytes)) return true;
    this.fail(ERRNO.EBADF);
    return false;
  }

  seek(offset: bigint, origin: number): boolean {
    const file = this.open?.file;
    if (!(file instanceof VolumeFile)) return failed(this.call, ERRNO.EBADF, false);
    const given = origin === 1 ? offset - BigInt(this.pushed) : offset;
    if (moveTo(file, given, origin) === undefined) return failed(this.call, ERRNO.EINVAL, false);
    this.call.memory.writeU32(this.address + FIELD.pushed, 0);
    this.flags &= ~AT_END;
    return true;
  }

  tell(): bigint {
    const file = this.open?.file;
    if (!(file instanceof VolumeFile)) return failed(this.call, ERRNO.EBADF, -1n);
    return BigInt(file.position - this.pushed);
  }

  flush(): void {
    const file = this.open?.file;
    if (file instanceof ConsoleFile && file.stream !== 'input') consoleFlush(this.call, file.stream);
  }
}

/** The stream at an address that a program gives; undefined when it is none that is open. */
export function streamOf(call: ServiceCall, address: bigint): Stream | undefined {
  standardStreams(call);
  const first = streamAt(call, 0);
  const offset = address - first;
  if (offset < 0n || offset >= STREAM_SIZE * BigInt(STREAMS) || offset % STREAM_SIZE !== 0n) return undefined;
  const stream = new Stream(call, address);
  return (stream.flags & OPEN) !== 0 ? stream : undefined;
}

function standardStreams(call: ServiceCall): void {
  if (call.memory.readU32(streamAt(call, 0)) !== 0) return;
  for (let index = 0; index < 3; index++) {
    call.memory.writeU32(streamAt(call, index) + FIELD.descriptor, index);
    call.memory.writeU32(streamAt(call, index), OPEN | 0x100);
  }
}

/** A FILE for a descriptor; 0 with EMFILE when there is none left. */
function newStream(call: ServiceCall, descriptor: number): bigint {
  standardStreams(call);
  for (let index = 3; index < STREAMS; index++) {
    const at = streamAt(call, index);
    if ((call.memory.readU32(at) & OPEN) !== 0) continue;
    call.memory.write(at, new Uint8Array(Number(STREAM_SIZE)));
    call.memory.writeU32(at + FIELD.descriptor, descriptor);
    call.memory.writeU32(at, OPEN);
    return at;
  }
  return failed(call, ERRNO.EMFILE, 0n);
}

/** The flags of _open for a mode such as "r+b"; undefined when it is none. */
function modeFlags(mode: string): number | undefined {
  const match = /^\s*([rwa])([+btxcnSRTD]*)(?:,\s*ccs=.*)?$/.exec(mode);
  if (match === null) return undefined;
  const [, kind, rest = ''] = match;
  const access = rest.includes('+') ? 2 : kind === 'r' ? 0 : 1;
  const made = kind === 'r' ? 0 : kind === 'w' ? 0x300 : 0x108;
  return (
    access |
    made |
    (rest.includes('x') ? 0x400 : 0) |
    (rest.includes('b') ? 0x8000 : 0x4000) |
    (rest.includes('D') ? 0x40 : 0)
  );
}

function openStream(call: ServiceCall, path: string, mode: string): bigint {
  const flags = modeFlags(mode);
  if (flags === undefined) return failed(call, ERRNO.EINVAL, 0n);
  const descriptor = openDescriptor(call, path, flags);
  if (descriptor < 0) return 0n;
  const stream = newStream(call, descriptor);
  if (stream === 0n) closeDescriptor(call, descriptor);
  return stream;
}

function closeStream(stream: Stream): number {
  stream.flush();
  stream.flags = 0;
  return closeDescriptor(stream.call, stream.descriptor);
}

/** Everything that is still in the process, at its end. */
export function flushAll(call: ServiceCall): void {
  consoleFlush(call, 'output');
  consoleFlush(call, 'error');
}

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
