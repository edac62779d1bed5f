import type { ServiceCall, SimulatedExport } from '../dispatch/index.js';
import { writePointer } from '../memory/index.js';
import type { ServiceResult } from '../threads/index.js';
import { defineExport } from './simulated-export.js';

/** The NT service behind a Win32 function that returns a pointer through an argument or a BOOL. */
function nt(call: ServiceCall, name: string, args: readonly bigint[]): ServiceResult {
  return call.kernel.systemServices.call(name, { ...call, argument: (index) => args[index] ?? 0n });
}

/** Virtual memory of kernelbase.dll (memoryapi.h). */
export function userMemory(): SimulatedExport[] {
  return [
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
    defineExport('VirtualQuery', ['pointer', 'pointer', 'size'], (call, address, target, length) => {
      const [, returned] = scratch(call, [0n, 0n]);
      const status = nt(call, 'NtQueryVirtualMemory', [-1n, address, 0n, target, length, returned]);
      return status === 0 ? readScratch(call, returned) : 0n;
    }),
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
