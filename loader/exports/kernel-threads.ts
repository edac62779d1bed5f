import { IRQL } from '../common/index.js';
import type { SimulatedExport } from '../dispatch/index.js';
import { writePointer } from '../memory/index.js';
import { CONTEXT_SET, finishThread } from '../threads/index.js';
import { defineExport } from './simulated-export.js';

const STATUS_SUCCESS = 0;

/** Threads, processors and time of the kernel (wdm.h, ntddk.h). */
export function kernelThreads(): SimulatedExport[] {
  return [
    defineExport(
      'PsCreateSystemThread',
      ['pointer', 'u32', 'pointer', 'pointer', 'pointer', 'pointer', 'pointer'],
      (call, handle, _access, _attributes, _process, _clientId, routine, context) => {
        const { kernel, domain, process, pointerSize } = call;
        const thread = kernel.createThread(routine, [context], { domain, name: 'system thread' });
        if (handle !== 0n)
          writePointer(call.memory, handle, BigInt(process.handles.open(thread)), pointerSize);
        return STATUS_SUCCESS;
      },
    ),
    defineExport('PsTerminateSystemThread', ['u32'], ({ thread }, status) => {
      finishThread(thread, BigInt(status));
      return CONTEXT_SET;
    }),
    defineExport('PsGetCurrentProcessId', [], ({ process }) => process.id),
    defineExport('PsGetCurrentThreadId', [], ({ thread }) => thread.id),
    // The broadcast function runs on every processor at IPI_LEVEL while all others stand still.
    defineExport(
      'KeIpiGenericCall',
      ['pointer', 'pointer'],
      ({ kernel, domain, processor }, routine, context) => {
        let result = 0n;
        for (const { index } of kernel.machine.processors) {
          const options = { domain, affinity: index, irql: IRQL.IPI_LEVEL, name: 'IPI' };
          const { returnValue = 0n } = kernel.callThread(routine, [context], options);
          if (index === processor.index) result = returnValue;
        }
        return result;
      },
    ),
    defineExport('KeGetCurrentProcessorNumberEx', ['pointer'], ({ processor, thread }, processorNumber) => {
      // PROCESSOR_NUMBER { USHORT Group; UCHAR Number; UCHAR Reserved; }
      if (processorNumber !== 0n)
        thread.memory.write(processorNumber, Uint8Array.of(0, 0, processor.index, 0));
      return processor.index;
    }),
    defineExport('KeQueryActiveProcessorCountEx', ['u32'], ({ kernel }) => kernel.machine.processors.length),
    defineExport('KeQueryInterruptTime', [], ({ kernel }) => kernel.scheduler.time),
    defineExport('KeQueryPerformanceCounter', ['pointer'], ({ kernel, thread }, frequency) => {
      if (frequency !== 0n) thread.memory.writeU64(frequency, 10_000_000n);
      return kernel.scheduler.time;
    }),
  ];
}
