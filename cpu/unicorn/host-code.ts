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
  if (process.platform !== 'linux' || process.env.HOTPATCH_NO_HOST_CODE === '1') return undefined;
  return process.arch === 'x64' || process.arch === 'arm64' ? process.arch : undefined;
}

/** Puts `code` into executable memory, which is never given back, and returns its address; undefined: not to be had. */
export function placeHostCode({ code, words }: HostCode): HostPointer | undefined {
  try {
    const bytes = Buffer.from(code, 'hex');
    const data = Buffer.alloc(words.length * 8);
    words.forEach((word, index) => void data.writeBigUInt64LE(BigInt.asUintN(64, word), index * 8));
    const size = Math.ceil((bytes.byteLength + data.byteLength) / PAGE) * PAGE;
    const system = systemMemory();
    const page = system.map(null, size, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
    const { address, view } = koffi();
    const at = BigInt(address(page));
    if (at === BigInt.asUintN(64, -1n)) return undefined;
    new Uint8Array(view(page, size)).set(Buffer.concat([bytes, data]));
    if (system.protect(page, size, PROT_READ_EXECUTE) !== 0) return undefined;
    return at;
  } catch {
    return undefined;
  }
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
