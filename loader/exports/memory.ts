import type { ServiceCall, SimulatedExport } from '../dispatch/index.js';
import { defineExport } from './simulated-export.js';

/** Block sizes beyond this are compared in pieces. */
const PIECE = 0x10000;

/** memcmp: the difference of the first bytes that differ; reads no further than a piece behind them. */
function compare({ memory }: ServiceCall, a: bigint, b: bigint, size: bigint): number {
  for (let done = 0n; done < size; done += BigInt(PIECE)) {
    const length = size - done < PIECE ? size - done : BigInt(PIECE);
    const result = Buffer.compare(memory.read(a + done, length), memory.read(b + done, length));
    if (result !== 0) return result;
  }
  return 0;
}

/** memcpy and its family, as the kernel and the C runtime export them. Faults are the guest's: an access violation. */
export function memoryExports(): SimulatedExport[] {
  const copy = (name: string) =>
    defineExport(
      name,
      ['pointer', 'pointer', 'size'],
      ({ memory }, to, from, size) => {
        memory.copy(to, from, size);
        return to;
      },
      'cdecl',
    );
  return [
    defineExport('RtlZeroMemory', ['pointer', 'size'], ({ memory }, to, size) => memory.fill(to, size, 0)),
    copy('memcpy'),
    copy('memmove'),
    defineExport(
      'memset',
      ['pointer', 'u32', 'size'],
      ({ memory }, to, value, size) => {
        memory.fill(to, size, value);
        return to;
      },
      'cdecl',
    ),
    defineExport('memcmp', ['pointer', 'pointer', 'size'], compare, 'cdecl'),
    defineExport('RtlCompareMemory', ['pointer', 'pointer', 'size'], ({ memory }, a, b, size) => {
      for (let done = 0n; done < size; done += BigInt(PIECE)) {
        const length = size - done < PIECE ? size - done : BigInt(PIECE);
        const left = memory.read(a + done, length);
        const right = memory.read(b + done, length);
        const different = left.findIndex((byte, index) => byte !== right[index]);
        if (different >= 0) return done + BigInt(different);
      }
      return size;
    }),
  ];
}
