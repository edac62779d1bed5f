import { ImageError } from '../error.js';
import type { ImageArchitecture } from '../mapped-file.js';
import { ByteReader } from '../reader.js';
import { hex } from '../text.js';
import { type DumpModule, type MemoryDump, type MemoryRange, MemoryRanges } from './memory.js';
import {
  DIRECTORY,
  HEADER,
  MEMORY_DESCRIPTOR,
  MEMORY_DESCRIPTOR64,
  MINIDUMP_SIGNATURE,
  MINIDUMP_VERSION,
  MODULE,
  PROCESSOR_ARCHITECTURE,
  STREAM,
  SYSTEM_INFO,
} from './minidump.js';

/** Whether a file begins as a minidump does. */
export function isMinidump(bytes: Uint8Array): boolean {
  return (
    bytes.length >= 4 &&
    new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true) === MINIDUMP_SIGNATURE
  );
}

/**
 * Reads processor, modules and memory of a minidump (minidumpapiset.h): MemoryListStream and Memory64ListStream.
 * @throws ImageError when it is none, ends early, or is of another processor
 */
export function readMinidump(bytes: Uint8Array, options: { readonly file?: string } = {}): MemoryDump {
  const { file } = options;
  const whole = new ByteReader(bytes, 'minidump', file);
  const header = HEADER.read(whole);
  if (header.signature !== MINIDUMP_SIGNATURE || (header.version & 0xffff) !== MINIDUMP_VERSION)
    throw whole.error('minidump.header', `signature ${hex(header.signature)} is not that of a minidump`, 0);
  const streams = new Map<number, ByteReader>();
  for (let index = 0; index < header.numberOfStreams; index++) {
    const entry = DIRECTORY.read(whole, header.streamDirectoryRva + index * DIRECTORY.size);
    if (streams.has(entry.streamType) || entry.dataSize === 0) continue;
    streams.set(
      entry.streamType,
      whole.slice(entry.rva, entry.dataSize, `minidump stream ${entry.streamType}`),
    );
  }
  const stream = (type: number, name: string) => {
    const found = streams.get(type);
    if (found !== undefined) return found;
    throw new ImageError({
      rule: 'minidump.stream',
      place: 'minidump',
      message: `there is no ${name}`,
      file,
      hint: 'take the dump with full memory (MiniDumpWithFullMemory)',
    });
  };
  const architecture = architectureOf(stream(STREAM.systemInfo, 'SystemInfoStream'));
  const modules = readModules(stream(STREAM.moduleList, 'ModuleListStream'), whole);
  const [list, list64] = [streams.get(STREAM.memoryList), streams.get(STREAM.memory64List)];
  if (list === undefined && list64 === undefined) stream(STREAM.memory64List, 'memory in it');
  const ranges = [
    ...(list64 === undefined ? [] : readMemory64(list64, whole)),
    ...(list === undefined ? [] : readMemory(list, whole)),
  ];
  const memory = new MemoryRanges(ranges);
  return { architecture, modules, read: (address, length) => memory.read(address, length) };
}

function architectureOf(info: ByteReader): ImageArchitecture {
  const { processorArchitecture } = SYSTEM_INFO.read(info);
  for (const [name, value] of Object.entries(PROCESSOR_ARCHITECTURE) as [ImageArchitecture, number][])
    if (value === processorArchitecture) return name;
  throw info.error(
    'headers.machine',
    `processor architecture ${processorArchitecture} is not x86, x64 or ARM64`,
    0,
  );
}

/** How many entries a list has, and where they begin: some writers align them to eight bytes. */
function entriesOf(list: ByteReader, size: number): { count: number; at: number } {
  const count = list.u32At(0);
  const at = list.length - count * size;
  if (at !== 4 && at !== 8)
    throw list.error('minidump.stream', `${count} entries of ${size} bytes do not fit in ${list.length}`, 0);
  return { count, at };
}

function readModules(list: ByteReader, whole: ByteReader): DumpModule[] {
  const { count, at } = entriesOf(list, MODULE.size);
  return Array.from({ length: count }, (_, index) => {
    const { baseOfImage, sizeOfImage, checkSum, timeDateStamp, moduleNameRva } = MODULE.read(
      list,
      at + index * MODULE.size,
    );
    const name = stringAt(whole, moduleNameRva);
    return { name, base: baseOfImage, size: sizeOfImage, checkSum, timeDateStamp };
  });
}

function stringAt(whole: ByteReader, rva: number): string {
  const length = whole.u32At(rva);
  const text = whole.slice(rva + 4, length, 'MINIDUMP_STRING');
  let result = '';
  for (let at = 0; at + 2 <= length; at += 2) result += String.fromCharCode(text.u16At(at));
  return result;
}

function readMemory64(list: ByteReader, whole: ByteReader): MemoryRange[] {
  const count = list.u64At(0);
  let at = Number(list.u64At(8));
  if (count * BigInt(MEMORY_DESCRIPTOR64.size) + 16n > BigInt(list.length))
    throw list.error('minidump.stream', `${count} ranges do not fit in ${list.length} bytes`, 0);
  return Array.from({ length: Number(count) }, (_, index) => {
    const { start, dataSize } = MEMORY_DESCRIPTOR64.read(list, 16 + index * MEMORY_DESCRIPTOR64.size);
    const bytes = whole.bytesAt(at, Number(dataSize));
    at += Number(dataSize);
    return { address: start, bytes };
  });
}

function readMemory(list: ByteReader, whole: ByteReader): MemoryRange[] {
  const { count, at } = entriesOf(list, MEMORY_DESCRIPTOR.size);
  return Array.from({ length: count }, (_, index) => {
    const { start, dataSize, rva } = MEMORY_DESCRIPTOR.read(list, at + index * MEMORY_DESCRIPTOR.size);
    return { address: start, bytes: whole.bytesAt(rva, dataSize) };
  });
}
