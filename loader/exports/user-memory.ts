import type { ServiceCall, SimulatedExport } from '../dispatch/index.js';
import { writePointer } from '../memory/index.js';
import type { ServiceResult } from '../threads/index.js';
import { defineExport } from './simulated-export.js';

const HEAP_ZERO_MEMORY = 8;
/** What heap memory holds that nobody has written to. */
const UNINITIALIZED = 0xcd;
/** The process heap: one for each process; its blocks lie like special pool. */
const PROCESS_HEAP = 0x10000n;

function allocate({ process }: ServiceCall, size: bigint, zero: boolean): bigint {
  return process.heap.allocate(Number(size === 0n ? 1n : size), 0, {
    fill: zero ? 0 : UNINITIALIZED,
    quota: false,
  });
}

function free({ process }: ServiceCall, address: bigint): void {
  if (address !== 0n) process.heap.free(address, 0);
}

function reallocate(call: ServiceCall, address: bigint, size: bigint, zero: boolean): bigint {
  const before = call.process.heap.blocks.get(address)?.size ?? 0;
  const moved = allocate(call, size, zero);
  const kept = Math.min(before, Number(size));
  if (kept > 0) call.memory.write(moved, call.memory.read(address, kept));
  free(call, address);
  return moved;
}

/** The NT service behind a Win32 function that returns a pointer through an argument or a BOOL. */
function nt(call: ServiceCall, name: string, args: readonly bigint[]): ServiceResult {
  return call.kernel.systemServices.call(name, { ...call, argument: (index) => args[index] ?? 0n });
}

/** Heap and virtual memory of kernelbase.dll (heapapi.h, memoryapi.h). */
export function userMemory(): SimulatedExport[] {
  return [
    defineExport('GetProcessHeap', [], () => PROCESS_HEAP),
    defineExport('HeapAlloc', ['pointer', 'u32', 'size'], (call, _heap, flags, size) =>
      allocate(call, size, (flags & HEAP_ZERO_MEMORY) !== 0),
    ),
    defineExport('HeapReAlloc', ['pointer', 'u32', 'pointer', 'size'], (call, _heap, flags, address, size) =>
      reallocate(call, address, size, (flags & HEAP_ZERO_MEMORY) !== 0),
    ),
    defineExport('HeapFree', ['pointer', 'u32', 'pointer'], (call, _heap, _flags, address) => {
      free(call, address);
      return 1;
    }),
    defineExport('HeapSize', ['pointer', 'u32', 'pointer'], ({ process }, _heap, _flags, address) =>
      BigInt(process.heap.blocks.get(address)?.size ?? -1),
    ),
    defineExport('LocalFree', ['pointer'], (call, address) => {
      free(call, address);
      return 0;
    }),
    defineExport(
      'VirtualAlloc',
      ['pointer', 'size', 'u32', 'u32'],
      (call, address, size, type, protection) => {
        const [base, length] = scratch(call, [address, size]);
        const status = nt(call, 'NtAllocateVirtualMemory', [
          -1n,
          base,
          0n,
          length,
          BigInt(type),
          BigInt(protection),
        ]);
        return status === 0 ? readScratch(call, base) : 0n;
      },
    ),
    defineExport('VirtualFree', ['pointer', 'size', 'u32'], (call, address, size, type) => {
      const [base, length] = scratch(call, [address, size]);
      return nt(call, 'NtFreeVirtualMemory', [-1n, base, length, BigInt(type)]) === 0 ? 1 : 0;
    }),
    defineExport(
      'VirtualProtect',
      ['pointer', 'size', 'u32', 'pointer'],
      (call, address, size, protection, old) => {
        const [base, length] = scratch(call, [address, size]);
        return nt(call, 'NtProtectVirtualMemory', [-1n, base, length, BigInt(protection), old]) === 0 ? 1 : 0;
      },
    ),
  ];
}

/** Two pointer-sized variables on the caller's stack, below everything that it uses. */
function scratch({ thread, pointerSize }: ServiceCall, values: readonly [bigint, bigint]): [bigint, bigint] {
  const top = (thread.sp - 0x200n) & ~15n;
  const addresses: [bigint, bigint] = [top, top + 8n];
  writePointer(thread.memory, addresses[0], values[0], pointerSize);
  writePointer(thread.memory, addresses[1], values[1], pointerSize);
  return addresses;
}

function readScratch({ thread, pointerSize }: ServiceCall, address: bigint): bigint {
  return pointerSize === 8 ? thread.memory.readU64(address) : BigInt(thread.memory.readU32(address));
}

/** malloc and its family (ucrtbase.dll). */
export function crtMemory(): SimulatedExport[] {
  return [
    defineExport('malloc', ['size'], (call, size) => allocate(call, size, false), 'cdecl'),
    defineExport(
      'calloc',
      ['size', 'size'],
      (call, count, size) => allocate(call, count * size, true),
      'cdecl',
    ),
    defineExport(
      'realloc',
      ['pointer', 'size'],
      (call, address, size) => reallocate(call, address, size, false),
      'cdecl',
    ),
    defineExport('free', ['pointer'], free, 'cdecl'),
    defineExport('_callnewh', ['size'], () => 0, 'cdecl'),
  ];
}
