import type { SimulatedExport } from '../dispatch/index.js';
import { defineExport } from './simulated-export.js';

/** Interlocked operations that 32-bit code imports; 64-bit compilers inline them. One service is one atomic step. */
export function interlockedExports(): SimulatedExport[] {
  const change = (name: string, next: (old: number, operand: number) => number, returnsNew: boolean) =>
    defineExport(name, ['pointer', 'i32'], ({ memory }, target, operand) => {
      const old = memory.readU32(target) | 0;
      const value = next(old, operand) | 0;
      memory.writeU32(target, value >>> 0);
      return BigInt.asUintN(32, BigInt(returnsNew ? value : old));
    });
  const step = (name: string, by: number) =>
    defineExport(name, ['pointer'], ({ memory }, target) => {
      const value = (memory.readU32(target) + by) >>> 0;
      memory.writeU32(target, value);
      return value;
    });
  return [
    step('InterlockedIncrement', 1),
    step('InterlockedDecrement', -1),
    change('InterlockedExchange', (_old, operand) => operand, false),
    change('InterlockedExchangeAdd', (old, operand) => old + operand, false),
    defineExport(
      'InterlockedCompareExchange',
      ['pointer', 'u32', 'u32'],
      ({ memory }, target, exchange, comparand) => {
        const old = memory.readU32(target);
        if (old === comparand) memory.writeU32(target, exchange);
        return old;
      },
    ),
  ];
}

/** SLIST_HEADER (winnt.h): 16 zero bytes are an empty list; 8 on 32-bit. */
export function listExports(): SimulatedExport[] {
  return [
    defineExport('InitializeSListHead', ['pointer'], ({ thread, pointerSize }, list) => {
      thread.memory.write(list, new Uint8Array(2 * pointerSize));
    }),
    defineExport('InterlockedFlushSList', ['pointer'], ({ thread, pointerSize }, list) => {
      const first = thread.memory.read(list, 2 * pointerSize);
      thread.memory.write(list, new Uint8Array(2 * pointerSize));
      const view = new DataView(first.buffer, first.byteOffset);
      return pointerSize === 8 ? view.getBigUint64(8, true) & ~15n : BigInt(view.getUint32(0, true));
    }),
  ];
}
