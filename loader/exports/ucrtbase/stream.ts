import type { ServiceCall } from '../../dispatch/index.js';
import { ConsoleFile, VolumeFile } from '../../files/index.js';
import { consoleFlush } from '../console.js';
import { moveTo } from '../disk-access.js';
import {
  closeDescriptor,
  type Descriptor,
  descriptorOf,
  openDescriptor,
  readDescriptor,
  writeDescriptor,
} from './descriptor.js';
import { ERRNO, failed, PROCESS, processData } from './state.js';

/** FILE, as it lies in the process: the runtime's own affair, programs know its address only. */
export const FIELD = { flags: 0n, descriptor: 4n, pushed: 8n, characters: 0xcn } as const;
const STREAM_SIZE = 0x40n;
export const STREAMS = 64;
export const OPEN = 1;
const AT_END = 2;
const ERROR = 4;
const MOST_PUSHED = 4;
export const EOF = -1;

export const streamAt = (call: ServiceCall, index: number): bigint =>
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

export function standardStreams(call: ServiceCall): void {
  if (call.memory.readU32(streamAt(call, 0)) !== 0) return;
  for (let index = 0; index < 3; index++) {
    call.memory.writeU32(streamAt(call, index) + FIELD.descriptor, index);
    call.memory.writeU32(streamAt(call, index), OPEN | 0x100);
  }
}

/** A FILE for a descriptor; 0 with EMFILE when there is none left. */
export function newStream(call: ServiceCall, descriptor: number): bigint {
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
export function modeFlags(mode: string): number | undefined {
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

export function openStream(call: ServiceCall, path: string, mode: string): bigint {
  const flags = modeFlags(mode);
  if (flags === undefined) return failed(call, ERRNO.EINVAL, 0n);
  const descriptor = openDescriptor(call, path, flags);
  if (descriptor < 0) return 0n;
  const stream = newStream(call, descriptor);
  if (stream === 0n) closeDescriptor(call, descriptor);
  return stream;
}

export function closeStream(stream: Stream): number {
  stream.flush();
  stream.flags = 0;
  return closeDescriptor(stream.call, stream.descriptor);
}

/** Everything that is still in the process, at its end. */
export function flushAll(call: ServiceCall): void {
  consoleFlush(call, 'output');
  consoleFlush(call, 'error');
}
