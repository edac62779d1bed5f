import type { SimulatedExport } from '../dispatch/index.js';
import { lookupFunctionEntry } from '../images/index.js';
import { writePointer } from '../memory/index.js';
import { defineExport } from './simulated-export.js';

/** Finding unwind data, of ntdll and ntoskrnl (winnt.h). */
export function unwindingExports(): SimulatedExport[] {
  return [
    defineExport('RtlLookupFunctionEntry', ['pointer', 'pointer', 'pointer'], (call, pc, imageBase) => {
      const found = lookupFunctionEntry(call.domain, pc);
      if (imageBase !== 0n)
        writePointer(call.memory, imageBase, found?.image.dllBase ?? 0n, call.pointerSize);
      return found?.address ?? 0n;
    }),
    defineExport('RtlPcToFileHeader', ['pointer', 'pointer'], (call, pc, baseOfImage) => {
      const base = call.domain.imageAt(pc)?.dllBase ?? 0n;
      writePointer(call.memory, baseOfImage, base, call.pointerSize);
      return base;
    }),
  ];
}
