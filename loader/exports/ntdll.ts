import type { SimulatedExport, SimulatedModule } from '../dispatch/index.js';
import { exceptionExports } from './exceptions.js';
import { guardExports } from './guard.js';
import { memoryExports } from './memory.js';
import { rtlStringExports } from './rtl-strings.js';
import { defineExport } from './simulated-export.js';
import { commonStringExports } from './ucrtbase/index.js';
import { unwindingExports } from './unwinding.js';
import { heapExports } from './user-heap.js';

/** Parameters of the system services that programs call through ntdll's stubs (public native-API headers), for x86's stdcall. */
const STUBS: Readonly<Record<string, number>> = {
  NtAllocateVirtualMemory: 6,
  NtFreeVirtualMemory: 4,
  NtProtectVirtualMemory: 5,
  NtQueryVirtualMemory: 6,
  NtCreateSection: 7,
  NtMapViewOfSection: 10,
  NtUnmapViewOfSection: 2,
  NtClose: 1,
  NtCreateFile: 11,
  NtOpenFile: 6,
  NtDeviceIoControlFile: 10,
  NtFsControlFile: 10,
  NtReadFile: 9,
  NtWriteFile: 9,
  NtCancelIoFile: 2,
  NtCancelIoFileEx: 3,
  NtTerminateProcess: 2,
  NtTerminateThread: 2,
  NtQuerySystemInformation: 4,
  NtDelayExecution: 2,
  NtManageHotPatch: 4,
};

/** A stub calls its service, if the kernel has it: the number is looked up when it is called. */
function stub(name: string, parameters: number): SimulatedExport {
  return defineExport(
    name,
    Array.from({ length: parameters }, () => 'pointer' as const),
    (call) => call.kernel.systemServices.call(name, call),
  );
}

export function ntdll(): SimulatedModule {
  return {
    name: 'ntdll.dll',
    exports: [
      ...memoryExports(),
      ...commonStringExports(),
      ...rtlStringExports(),
      ...heapExports().filter(({ name }) => name.startsWith('Rtl')),
      ...guardExports('user'),
      ...unwindingExports(),
      ...exceptionExports(),
      ...Object.entries(STUBS).map(([name, parameters]) => stub(name, parameters)),
    ],
  };
}
