import type { ImageArchitecture } from '../mapped-file.js';
import type { Struct } from '../struct.js';
import type { DumpModule, MemoryRange } from './memory.js';
import {
  CPU_INFORMATION_SIZE,
  DIRECTORY,
  HEADER,
  MEMORY_DESCRIPTOR64,
  MEMORY_INFO,
  MINIDUMP_SIGNATURE,
  MINIDUMP_TYPE,
  MINIDUMP_VERSION,
  MISC_HAS_PROCESS_ID,
  MISC_INFO,
  MODULE,
  PROCESSOR_ARCHITECTURE,
  STREAM,
  SYSTEM_INFO,
  THREAD,
} from './minidump.js';

/** MINIDUMP_THREAD. */
export interface MinidumpThread {
  /** Of the thread. */
  readonly id: number;
  /** TEB; 0 where there is none. */
  readonly teb: bigint;
  /** From where it stands to where its stack began. */
  readonly stack: { readonly start: bigint; readonly size: number };
  /** CONTEXT of winnt.h. */
  readonly context: Uint8Array;
}

export interface MinidumpModule extends DumpModule {
  /** CodeView record of its debug directory: `RSDS`, GUID, age, name of the PDB. */
  readonly codeView?: Uint8Array | undefined;
}

/** MEMORY_BASIC_INFORMATION of a region, with the constants of winnt.h. */
export interface MinidumpRegion {
  /** BaseAddress. */
  readonly base: bigint;
  /** AllocationBase. */
  readonly allocationBase: bigint;
  /** PAGE_* that it was allocated with. */
  readonly allocationProtect: number;
  /** RegionSize, in bytes. */
  readonly size: bigint;
  /** MEM_COMMIT, MEM_RESERVE or MEM_FREE. */
  readonly state: number;
  /** PAGE_* of now. */
  readonly protect: number;
  /** MEM_PRIVATE, MEM_MAPPED or MEM_IMAGE. */
  readonly type: number;
}

/** What a minidump is written of. */
export interface MinidumpInput {
  /** The processor. */
  readonly architecture: ImageArchitecture;
  /** How many of them. */
  readonly processors: number;
  /** Of Windows. */
  readonly version: { readonly major: number; readonly minor: number; readonly build: number };
  /** Of the process. */
  readonly processId: number;
  /** Seconds since 1970. */
  readonly time: number;
  /** In load order. */
  readonly modules: readonly MinidumpModule[];
  /** Its threads. */
  readonly threads: readonly MinidumpThread[];
  /** In ascending order, not overlapping. */
  readonly memory: readonly MemoryRange[];
  /** What is mapped where, in ascending order. */
  readonly regions: readonly MinidumpRegion[];
}

const VER_PLATFORM_WIN32_NT = 2;
const VER_NT_WORKSTATION = 1;

/** Grows a file piece by piece; every piece begins at a multiple of eight. */
class Pieces {
  readonly #parts: { readonly at: number; readonly bytes: Uint8Array }[] = [];
  #end: number;

  constructor(start: number) {
    this.#end = start;
  }

  get end(): number {
    return this.#end;
  }

  add(bytes: Uint8Array): number {
    const at = this.#end;
    this.#parts.push({ at, bytes });
    this.#end = Math.ceil((at + bytes.length) / 8) * 8;
    return at;
  }

  /** MINIDUMP_STRING: length in bytes, UTF-16, a NUL that is not counted. */
  addString(text: string): number {
    const bytes = new Uint8Array(4 + 2 * text.length + 2);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, 2 * text.length, true);
    for (let index = 0; index < text.length; index++)
      view.setUint16(4 + 2 * index, text.charCodeAt(index), true);
    return this.add(bytes);
  }

  writeTo(file: Uint8Array): void {
    for (const { at, bytes } of this.#parts) file.set(bytes, at);
  }
}

const encoded = <F extends Record<string, 'u8' | 'u16' | 'u32' | 'u64' | 'pointer'>>(
  struct: Struct<F>,
  values: Parameters<Struct<F>['write']>[2],
): Uint8Array => {
  const bytes = new Uint8Array(struct.size);
  struct.write(bytes, 0, values);
  return bytes;
};

const joined = (head: Uint8Array, entries: readonly Uint8Array[]): Uint8Array => {
  const bytes = new Uint8Array(head.length + entries.reduce((sum, entry) => sum + entry.length, 0));
  bytes.set(head);
  let at = head.length;
  for (const entry of entries) {
    bytes.set(entry, at);
    at += entry.length;
  }
  return bytes;
};

const count32 = (count: number): Uint8Array => {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, count, true);
  return bytes;
};

const numbers64 = (...values: bigint[]): Uint8Array => {
  const bytes = new Uint8Array(8 * values.length);
  const view = new DataView(bytes.buffer);
  values.forEach((value, index) => {
    view.setBigUint64(8 * index, value, true);
  });
  return bytes;
};

/** A minidump with full memory, as MiniDumpWriteDump makes it (minidumpapiset.h). */
export function writeMinidump(input: MinidumpInput): Uint8Array {
  const streams = 6;
  const directory = HEADER.size;
  const pieces = new Pieces(directory + streams * DIRECTORY.size);
  const memorySize = input.memory.reduce((sum, { bytes }) => sum + bytes.length, 0);
  // What comes before the memory has a size that does not depend on where the memory lies.
  const memoryRva = layOut(input, pieces, 0).memoryRva;
  const final = new Pieces(directory + streams * DIRECTORY.size);
  const { entries } = layOut(input, final, memoryRva);
  const file = new Uint8Array(memoryRva + memorySize);
  file.set(
    encoded(HEADER, {
      signature: MINIDUMP_SIGNATURE,
      version: MINIDUMP_VERSION,
      numberOfStreams: streams,
      streamDirectoryRva: directory,
      timeDateStamp: input.time,
      flags: BigInt(MINIDUMP_TYPE.fullMemory | MINIDUMP_TYPE.fullMemoryInfo),
    }),
  );
  entries.forEach((entry, index) => {
    DIRECTORY.write(file, directory + index * DIRECTORY.size, entry);
  });
  final.writeTo(file);
  let at = memoryRva;
  for (const { bytes } of input.memory) {
    file.set(bytes, at);
    at += bytes.length;
  }
  return file;
}

interface Laid {
  readonly entries: readonly { streamType: number; dataSize: number; rva: number }[];
  readonly memoryRva: number;
}

/** Lays out every stream; `memoryRva` is where the memory will begin. */
function layOut(input: MinidumpInput, pieces: Pieces, memoryRva: number): Laid {
  const entries: { streamType: number; dataSize: number; rva: number }[] = [];
  const stream = (streamType: number, bytes: Uint8Array): void => {
    entries.push({ streamType, dataSize: bytes.length, rva: pieces.add(bytes) });
  };
  stream(STREAM.systemInfo, systemInfo(input, pieces));
  stream(
    STREAM.miscInfo,
    encoded(MISC_INFO, {
      sizeOfInfo: MISC_INFO.size,
      flags1: MISC_HAS_PROCESS_ID,
      processId: input.processId,
    }),
  );
  stream(STREAM.moduleList, joined(count32(input.modules.length), modules(input, pieces)));
  stream(STREAM.threadList, joined(count32(input.threads.length), threads(input, pieces, memoryRva)));
  stream(STREAM.memoryInfoList, memoryInfo(input));
  const ranges = input.memory.map(({ address, bytes }) =>
    encoded(MEMORY_DESCRIPTOR64, { start: address, dataSize: BigInt(bytes.length) }),
  );
  const head = numbers64(BigInt(ranges.length), BigInt(memoryRva));
  stream(STREAM.memory64List, joined(head, ranges));
  return { entries, memoryRva: pieces.end };
}

function systemInfo({ architecture, processors, version }: MinidumpInput, pieces: Pieces): Uint8Array {
  const fixed = encoded(SYSTEM_INFO, {
    processorArchitecture: PROCESSOR_ARCHITECTURE[architecture],
    processorLevel: 6,
    numberOfProcessors: processors,
    productType: VER_NT_WORKSTATION,
    majorVersion: version.major,
    minorVersion: version.minor,
    buildNumber: version.build,
    platformId: VER_PLATFORM_WIN32_NT,
    csdVersionRva: pieces.addString(''),
  });
  return joined(fixed, [new Uint8Array(CPU_INFORMATION_SIZE)]);
}

function modules(input: MinidumpInput, pieces: Pieces): Uint8Array[] {
  return input.modules.map(({ name, base, size, checkSum, timeDateStamp, codeView }) =>
    encoded(MODULE, {
      baseOfImage: base,
      sizeOfImage: size,
      checkSum,
      timeDateStamp,
      moduleNameRva: pieces.addString(name),
      ...(codeView === undefined ? {} : { cvRecordSize: codeView.length, cvRecordRva: pieces.add(codeView) }),
    }),
  );
}

function threads({ threads: all, memory }: MinidumpInput, pieces: Pieces, memoryRva: number): Uint8Array[] {
  return all.map(({ id, teb, stack, context }) => {
    const rva = rvaOf(memory, memoryRva, stack.start);
    return encoded(THREAD, {
      threadId: id,
      teb,
      stackStart: stack.start,
      stackSize: rva === undefined ? 0 : stack.size,
      stackRva: rva ?? 0,
      contextSize: context.length,
      contextRva: pieces.add(context),
    });
  });
}

/** Where in the file the byte at an address is. */
function rvaOf(memory: readonly MemoryRange[], memoryRva: number, address: bigint): number | undefined {
  let at = memoryRva;
  for (const { address: start, bytes } of memory) {
    if (address >= start && address < start + BigInt(bytes.length)) return at + Number(address - start);
    at += bytes.length;
  }
  return undefined;
}

function memoryInfo({ regions }: MinidumpInput): Uint8Array {
  const head = new Uint8Array(16);
  const view = new DataView(head.buffer);
  view.setUint32(0, head.length, true);
  view.setUint32(4, MEMORY_INFO.size, true);
  view.setBigUint64(8, BigInt(regions.length), true);
  return joined(
    head,
    regions.map(({ base, allocationBase, allocationProtect, size, state, protect, type }) =>
      encoded(MEMORY_INFO, {
        baseAddress: base,
        allocationBase,
        allocationProtect,
        regionSize: size,
        state,
        protect,
        type,
      }),
    ),
  );
}
