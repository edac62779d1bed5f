import { endUnhandled, type ServiceCall, type SimulatedExport } from '../dispatch/index.js';
import type { HeapFailure } from '../memory/index.js';
import { CONTEXT_SET, type ServiceResult } from '../threads/index.js';
import { cdecl, defineExport } from './simulated-export.js';
import { ERRNO, failed, invalidParameter } from './ucrtbase/state.js';

const HEAP_ZERO_MEMORY = 8;
const HEAP_REALLOC_IN_PLACE_ONLY = 0x10;
const STATUS_HEAP_CORRUPTION = 0xc000_0374;
const ERROR_NOT_ENOUGH_MEMORY = 8;

const WHAT: Readonly<Record<HeapFailure, string>> = {
  notABlock: 'is no block of a heap',
  freedTwice: 'has been freed already',
  overwritten: 'was written beyond its ends, or is no block of a heap',
};

/** The heap is broken: the process ends, as Windows ends it, and no handler is asked. */
function corrupt(call: ServiceCall, address: bigint, failure: HeapFailure): typeof CONTEXT_SET {
  const { kernel, thread, processor } = call;
  const caller = thread.describe(thread.architecture.returnAddressAtEntry(processor));
  const text = `heap corruption: 0x${address.toString(16)} ${WHAT[failure]}; found by a call from ${caller}`;
  endUnhandled(
    kernel,
    thread,
    { text },
    {
      code: STATUS_HEAP_CORRUPTION,
      flags: 1,
      address: thread.pc,
      parameters: [address],
    },
  );
  return CONTEXT_SET;
}

const arenaOf = ({ process, thread }: ServiceCall, handle: bigint): number =>
  process.programHeap.arenaOf(handle) ?? thread.heapArena;

export function allocate(call: ServiceCall, size: bigint, zero: boolean, heap = 0n): bigint {
  return call.process.programHeap.allocate(call.memory, arenaOf(call, heap), size, zero);
}

export function release(call: ServiceCall, address: bigint): typeof CONTEXT_SET | undefined {
  if (address === 0n) return undefined;
  const failure = call.process.programHeap.free(call.memory, address);
  return failure === undefined ? undefined : corrupt(call, address, failure);
}

function sizeOf(call: ServiceCall, address: bigint): bigint | typeof CONTEXT_SET {
  const block = call.process.programHeap.block(call.memory, address);
  return typeof block === 'string' ? corrupt(call, address, block) : BigInt(block.size);
}

function reallocate(
  call: ServiceCall,
  address: bigint,
  size: bigint,
  zero: boolean,
  heap = 0n,
): bigint | typeof CONTEXT_SET {
  const result = call.process.programHeap.reallocate(call.memory, arenaOf(call, heap), address, size, zero);
  return typeof result === 'string' ? corrupt(call, address, result) : result;
}

const setLastError = ({ process, thread }: ServiceCall, error: number): void => {
  if (thread.teb !== undefined) process.environment?.setLastError(thread.teb, error);
};

function orNoMemory<T>(call: ServiceCall, result: T): T {
  if (result === 0n) setLastError(call, ERROR_NOT_ENOUGH_MEMORY);
  return result;
}

/** Heaps of kernelbase.dll and ntdll.dll (heapapi.h, winbase.h). */
export function heapExports(): SimulatedExport[] {
  const named = (names: readonly string[], make: (name: string) => SimulatedExport) => names.map(make);
  return [
    defineExport('GetProcessHeap', [], ({ process }) => process.programHeap.processHeap),
    ...named(['HeapAlloc', 'RtlAllocateHeap'], (name) =>
      defineExport(name, ['pointer', 'u32', 'size'], (call, heap, flags, size) =>
        orNoMemory(call, allocate(call, size, (flags & HEAP_ZERO_MEMORY) !== 0, heap)),
      ),
    ),
    ...named(['HeapReAlloc', 'RtlReAllocateHeap'], (name) =>
      defineExport(name, ['pointer', 'u32', 'pointer', 'size'], (call, heap, flags, address, size) => {
        if ((flags & HEAP_REALLOC_IN_PLACE_ONLY) !== 0) {
          const old = sizeOf(call, address);
          return old === CONTEXT_SET ? old : typeof old === 'bigint' && size <= old ? address : 0n;
        }
        return orNoMemory(call, reallocate(call, address, size, (flags & HEAP_ZERO_MEMORY) !== 0, heap));
      }),
    ),
    ...named(['HeapFree', 'RtlFreeHeap'], (name) =>
      defineExport(
        name,
        ['pointer', 'u32', 'pointer'],
        (call, _heap, _flags, address) => release(call, address) ?? 1,
      ),
    ),
    ...named(['HeapSize', 'RtlSizeHeap'], (name) =>
      defineExport(name, ['pointer', 'u32', 'pointer'], (call, _heap, _flags, address) =>
        sizeOf(call, address),
      ),
    ),
    defineExport('HeapCreate', ['u32', 'size', 'size'], (call) => {
      const arena = call.process.programHeap.createArena(call.memory);
      if (arena === undefined) return orNoMemory(call, 0n);
      return call.process.programHeap.handleOf(arena);
    }),
    defineExport('HeapDestroy', ['pointer'], ({ process }, heap) => {
      const arena = process.programHeap.arenaOf(heap);
      if (arena === undefined) return 0;
      process.programHeap.destroyArena(arena);
      return 1;
    }),
    defineExport('HeapValidate', ['pointer', 'u32', 'pointer'], (call, _heap, _flags, address) =>
      address === 0n || typeof call.process.programHeap.block(call.memory, address) === 'object' ? 1 : 0,
    ),
    defineExport('HeapCompact', ['pointer', 'u32'], () => 0x10000n),
    defineExport('HeapLock', ['pointer'], () => 1),
    defineExport('HeapUnlock', ['pointer'], () => 1),
    defineExport('HeapSetInformation', ['pointer', 'u32', 'pointer', 'size'], () => 1),
    defineExport('LocalAlloc', ['u32', 'size'], (call, flags, size) =>
      allocate(call, size, (flags & 0x40) !== 0),
    ),
    defineExport('LocalFree', ['pointer'], (call, address) => release(call, address) ?? 0n),
    defineExport('GlobalAlloc', ['u32', 'size'], (call, flags, size) =>
      allocate(call, size, (flags & 0x40) !== 0),
    ),
    defineExport('GlobalFree', ['pointer'], (call, address) => release(call, address) ?? 0n),
  ];
}

const product = (count: bigint, size: bigint): bigint | undefined => {
  const all = count * size;
  return all > 0x7fff_ffff_ffff_ffffn ? undefined : all;
};

/** malloc and its family (ucrtbase.dll, malloc.h). */
export function crtHeapExports(): SimulatedExport[] {
  const orErrno = <T extends ServiceResult>(call: ServiceCall, result: T): T | bigint =>
    result === 0n ? failed(call, ERRNO.ENOMEM, 0n) : result;
  const realloc = (call: ServiceCall, address: bigint, size: bigint): ServiceResult => {
    if (address === 0n) return orErrno(call, allocate(call, size, false));
    if (size === 0n) return release(call, address) ?? 0n;
    return orErrno(call, reallocate(call, address, size, false));
  };
  const calloc = (call: ServiceCall, count: bigint, size: bigint): ServiceResult => {
    const all = product(count, size);
    return orErrno(call, all === undefined ? 0n : allocate(call, all, true));
  };
  return [
    ...['malloc', '_malloc_base'].map((name) =>
      cdecl(name, ['size'], (call, size) => orErrno(call, allocate(call, size, false))),
    ),
    ...['calloc', '_calloc_base'].map((name) => cdecl(name, ['size', 'size'], calloc)),
    ...['realloc', '_realloc_base'].map((name) => cdecl(name, ['pointer', 'size'], realloc)),
    ...['free', '_free_base'].map((name) => cdecl(name, ['pointer'], release)),
    cdecl('_recalloc', ['pointer', 'size', 'size'], (call, address, count, size) => {
      const all = product(count, size);
      if (all === undefined) return orErrno(call, 0n);
      if (address === 0n) return orErrno(call, allocate(call, all, true));
      return orErrno(call, reallocate(call, address, all, true));
    }),
    cdecl('_msize', ['pointer'], (call, address) =>
      address === 0n
        ? invalidParameter(call, '_msize', BigInt.asUintN(call.pointerSize * 8, -1n))
        : sizeOf(call, address),
    ),
    cdecl('_expand', ['pointer', 'size'], (call, address, size) => {
      const old = sizeOf(call, address);
      return typeof old === 'bigint' && size > old ? 0n : old === CONTEXT_SET ? old : address;
    }),
    cdecl('_callnewh', ['size'], () => 0),
    ...alignedExports(),
  ];
}

/** The word before an aligned block is the address of the block that it lies in. */
function alignedExports(): SimulatedExport[] {
  const aligned = (call: ServiceCall, size: bigint, alignment: bigint, offset = 0n): bigint => {
    const word = BigInt(call.pointerSize);
    const inner = allocate(call, size + alignment + word, false);
    if (inner === 0n) return failed(call, ERRNO.ENOMEM, 0n);
    const block = ((inner + word + offset + alignment - 1n) & ~(alignment - 1n)) - offset;
    call.memory.writePointer(block - word, inner);
    return block;
  };
  const isPowerOfTwo = (value: bigint) => value > 0n && (value & (value - 1n)) === 0n;
  const innerOf = (call: ServiceCall, block: bigint): bigint =>
    call.memory.readPointer(block - BigInt(call.pointerSize));
  return [
    cdecl('_aligned_malloc', ['size', 'size'], (call, size, alignment) =>
      isPowerOfTwo(alignment)
        ? aligned(call, size, alignment < 8n ? 8n : alignment)
        : invalidParameter(call, '_aligned_malloc', 0n),
    ),
    cdecl('_aligned_offset_malloc', ['size', 'size', 'size'], (call, size, alignment, offset) =>
      isPowerOfTwo(alignment)
        ? aligned(call, size, alignment < 8n ? 8n : alignment, offset)
        : invalidParameter(call, '_aligned_offset_malloc', 0n),
    ),
    cdecl('_aligned_free', ['pointer'], (call, block) =>
      block === 0n ? undefined : release(call, innerOf(call, block)),
    ),
    cdecl('_aligned_msize', ['pointer', 'size', 'size'], (call, block) => {
      const inner = innerOf(call, block);
      const size = sizeOf(call, inner);
      return typeof size === 'bigint' ? size - (block - inner) : size;
    }),
    cdecl('_aligned_realloc', ['pointer', 'size', 'size'], (call, block, size, alignment) => {
      if (!isPowerOfTwo(alignment)) return invalidParameter(call, '_aligned_realloc', 0n);
      const wanted = alignment < 8n ? 8n : alignment;
      if (block === 0n) return aligned(call, size, wanted);
      const inner = innerOf(call, block);
      if (size === 0n) return release(call, inner) ?? 0n;
      const before = sizeOf(call, inner);
      if (typeof before !== 'bigint') return before;
      const moved = aligned(call, size, wanted);
      if (moved === 0n) return 0n;
      const kept = before - (block - inner);
      call.memory.copy(moved, block, kept < size ? kept : size);
      return release(call, inner) ?? moved;
    }),
  ];
}
