import type { ImageArchitecture } from '../mapped-file.js';
import { Struct } from '../struct.js';

/** Structures and constants of minidumpapiset.h. Everything is packed to 4 bytes. */
export const MINIDUMP_SIGNATURE = 0x504d_444d;
export const MINIDUMP_VERSION = 0xa793;

/** MINIDUMP_STREAM_TYPE. */
export const STREAM = {
  threadList: 3,
  moduleList: 4,
  memoryList: 5,
  systemInfo: 7,
  memory64List: 9,
  miscInfo: 15,
  memoryInfoList: 16,
} as const;

/** MINIDUMP_TYPE: MiniDumpWithFullMemory, MiniDumpWithFullMemoryInfo. */
export const MINIDUMP_TYPE = { fullMemory: 0x2, fullMemoryInfo: 0x800 } as const;

/** PROCESSOR_ARCHITECTURE of winnt.h. */
export const PROCESSOR_ARCHITECTURE: Readonly<Record<ImageArchitecture, number>> = {
  x86: 0,
  x64: 9,
  arm64: 12,
};

export const HEADER = new Struct('MINIDUMP_HEADER', {
  signature: 'u32',
  version: 'u32',
  numberOfStreams: 'u32',
  streamDirectoryRva: 'u32',
  checkSum: 'u32',
  timeDateStamp: 'u32',
  flags: 'u64',
});

export const DIRECTORY = new Struct('MINIDUMP_DIRECTORY', { streamType: 'u32', dataSize: 'u32', rva: 'u32' });

export const SYSTEM_INFO = new Struct('MINIDUMP_SYSTEM_INFO', {
  processorArchitecture: 'u16',
  processorLevel: 'u16',
  processorRevision: 'u16',
  numberOfProcessors: 'u8',
  productType: 'u8',
  majorVersion: 'u32',
  minorVersion: 'u32',
  buildNumber: 'u32',
  platformId: 'u32',
  csdVersionRva: 'u32',
  suiteMask: 'u16',
  reserved: 'u16',
});
/** The union of CPU information behind it. */
export const CPU_INFORMATION_SIZE = 24;

export const THREAD = new Struct('MINIDUMP_THREAD', {
  threadId: 'u32',
  suspendCount: 'u32',
  priorityClass: 'u32',
  priority: 'u32',
  teb: 'u64',
  stackStart: 'u64',
  stackSize: 'u32',
  stackRva: 'u32',
  contextSize: 'u32',
  contextRva: 'u32',
});

const VERSION_INFO = Object.fromEntries(
  Array.from({ length: 13 }, (_, index) => [`version${index}`, 'u32']),
) as Record<`version${number}`, 'u32'>;

export const MODULE = new Struct('MINIDUMP_MODULE', {
  baseOfImage: 'u64',
  sizeOfImage: 'u32',
  checkSum: 'u32',
  timeDateStamp: 'u32',
  moduleNameRva: 'u32',
  ...VERSION_INFO,
  cvRecordSize: 'u32',
  cvRecordRva: 'u32',
  miscRecordSize: 'u32',
  miscRecordRva: 'u32',
  reserved0: 'u64',
  reserved1: 'u64',
});

export const MEMORY_DESCRIPTOR = new Struct('MINIDUMP_MEMORY_DESCRIPTOR', {
  start: 'u64',
  dataSize: 'u32',
  rva: 'u32',
});

export const MEMORY_DESCRIPTOR64 = new Struct('MINIDUMP_MEMORY_DESCRIPTOR64', {
  start: 'u64',
  dataSize: 'u64',
});

export const MEMORY_INFO = new Struct('MINIDUMP_MEMORY_INFO', {
  baseAddress: 'u64',
  allocationBase: 'u64',
  allocationProtect: 'u32',
  alignment1: 'u32',
  regionSize: 'u64',
  state: 'u32',
  protect: 'u32',
  type: 'u32',
  alignment2: 'u32',
});

export const MISC_INFO = new Struct('MINIDUMP_MISC_INFO', {
  sizeOfInfo: 'u32',
  flags1: 'u32',
  processId: 'u32',
  processCreateTime: 'u32',
  processUserTime: 'u32',
  processKernelTime: 'u32',
});
/** MINIDUMP_MISC1_PROCESS_ID. */
export const MISC_HAS_PROCESS_ID = 1;
