import { koffi } from './koffi.js';
import type { HostPointer } from './library.js';

/**
 * Small pieces of machine code for the host's own processor, where it is cheaper or safer to answer Unicorn without
 * JavaScript. Pages are written first and made executable afterwards, never both. Where there is none (another
 * processor, a system that forbids it), everything works without, slower: {@link hostCode} gives undefined.
 */
export type HostProcessor = 'x64' | 'arm64';

/** Bytes of one piece per host processor; `words` are put, 8 bytes each, behind the code in their order. */
export interface HostCode {
  readonly code: string;
  readonly words: readonly bigint[];
}

const PAGE = 4096;
const PROT_READ_WRITE = 3;
const PROT_READ_EXECUTE = 5;
const PROT_NONE = 0;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const MAP_PRIVATE_ANONYMOUS_DARWIN = 0x1002;
const MAP_NORESERVE = 0x4000;

interface SystemMemory {
  map(address: null, size: number, protection: number, flags: number, file: number, offset: number): unknown;
  protect(address: unknown, size: number, protection: number): number;
  unmap(address: unknown, size: number): number;
}

let memory: SystemMemory | undefined;

function systemMemory(): SystemMemory {
  if (memory === undefined) {
    const library = koffi().load(null);
    memory = {
      map: library.func('mmap', 'void *', ['void *', 'size_t', 'int', 'int', 'int', 'int64_t']),
      protect: library.func('mprotect', 'int', ['void *', 'size_t', 'int']),
      unmap: library.func('munmap', 'int', ['void *', 'size_t']),
    };
  }
  return memory;
}

/** Which machine code this process can run; undefined: none. The environment variable is for tests and for doubts. */
export function hostProcessor(): HostProcessor | undefined {
  if (process.env.HOTPATCH_NO_HOST_CODE === '1') return undefined;
  return process.arch === 'x64' || process.arch === 'arm64' ? process.arch : undefined;
}

/** How functions of this process are called; A64 code is called in the same way everywhere. */
export type HostConvention = 'x64 System V' | 'x64 Windows' | 'arm64';

export function hostConvention(): HostConvention | undefined {
  const host = hostProcessor();
  if (host !== 'x64') return host;
  return process.platform === 'win32' ? 'x64 Windows' : 'x64 System V';
}

/** Puts `code` into executable memory, which is never given back, and returns its address; undefined: not to be had. */
export function placeHostCode({ code, words }: HostCode): HostPointer | undefined {
  try {
    const bytes = Buffer.from(code, 'hex');
    const data = Buffer.alloc(words.length * 8);
    words.forEach((word, index) => void data.writeBigUInt64LE(BigInt.asUintN(64, word), index * 8));
    const size = Math.ceil((bytes.byteLength + data.byteLength) / PAGE) * PAGE;
    const pages = process.platform === 'win32' ? windowsPages() : unixPages();
    const page = pages.allocate(size);
    if (page === undefined) return undefined;
    const { address, view } = koffi();
    new Uint8Array(view(page, size)).set(Buffer.concat([bytes, data]));
    return pages.makeExecutable(page, size) ? BigInt(address(page)) : undefined;
  } catch {
    return undefined;
  }
}

interface Pages {
  /** Writable memory, in whole pages. */
  allocate(size: number): unknown;
  makeExecutable(pages: unknown, size: number): boolean;
}

function unixPages(): Pages {
  const system = systemMemory();
  const flags = process.platform === 'darwin' ? MAP_PRIVATE_ANONYMOUS_DARWIN : MAP_PRIVATE_ANONYMOUS;
  return {
    allocate(size) {
      const pages = system.map(null, size, PROT_READ_WRITE, flags, -1, 0);
      return BigInt(koffi().address(pages)) === BigInt.asUintN(64, -1n) ? undefined : pages;
    },
    makeExecutable: (pages, size) => system.protect(pages, size, PROT_READ_EXECUTE) === 0,
  };
}

const MEM_COMMIT_RESERVE = 0x3000;
const PAGE_READWRITE = 0x04;
const PAGE_EXECUTE_READ = 0x20;

function windowsPages(): Pages {
  const kernel = koffi().load('kernel32.dll');
  const allocate = kernel.func('VirtualAlloc', 'void *', ['void *', 'size_t', 'uint32_t', 'uint32_t']);
  const protect = kernel.func('VirtualProtect', 'int', ['void *', 'size_t', 'uint32_t', 'void *']);
  const flush = kernel.func('FlushInstructionCache', 'int', ['void *', 'void *', 'size_t']);
  const current = kernel.func('GetCurrentProcess', 'void *', []);
  return {
    allocate: (size) => allocate(null, size, MEM_COMMIT_RESERVE, PAGE_READWRITE) ?? undefined,
    makeExecutable: (pages, size) =>
      protect(pages, size, PAGE_EXECUTE_READ, Buffer.alloc(4)) !== 0 && flush(current(), pages, size) !== 0,
  };
}

/** Memory for words that host code and JavaScript share; never given back, since a handler may look at it at any time. */
export function hostWords(words: number): { readonly address: HostPointer; readonly buffer: ArrayBuffer } {
  const system = systemMemory();
  const size = Math.ceil((words * 8) / PAGE) * PAGE;
  const { address, view } = koffi();
  const memory = system.map(null, size, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
  return { address: BigInt(address(memory)), buffer: view(memory, size) };
}

/**
 * Whether the process may still reserve so many bytes of addresses (RLIMIT_AS). Unicorn ends the process when it gets no
 * memory for the code that it translates.
 */
export function canReserve(size: number): boolean {
  if (process.platform !== 'linux') return true;
  try {
    const system = systemMemory();
    const flags = MAP_PRIVATE_ANONYMOUS | MAP_NORESERVE;
    const range = system.map(null, size, PROT_NONE, flags, -1, 0);
    if (BigInt(koffi().address(range)) === BigInt.asUintN(64, -1n)) return false;
    system.unmap(range, size);
    return true;
  } catch {
    return true;
  }
}
