import { BOOT_TIME } from '../common/index.js';
import { failFast, type ServiceCall, type SimulatedExport } from '../dispatch/index.js';
import { readPointer, writePointer } from '../memory/index.js';
import { CONTEXT_SET, endThread, finishThread } from '../threads/index.js';
import { defineExport } from './simulated-export.js';

const FAST_FAIL_FATAL_APP_EXIT = 7;
const ERROR_INVALID_PARAMETER = 87;

function slotAddress({ process, thread }: ServiceCall, index: number): bigint | undefined {
  if (thread.teb === undefined || index >= 64) return undefined;
  return process.environment?.tlsSlot(thread.teb, index);
}

function setLastError({ process, thread }: ServiceCall, error: number): void {
  if (thread.teb !== undefined) process.environment?.setLastError(thread.teb, error);
}

/** Identity, errors, thread-local slots and time of kernelbase.dll (processthreadsapi.h, errhandlingapi.h, fibersapi.h). */
export function userProcess(): SimulatedExport[] {
  const slots = (
    allocate: string,
    free: string,
    get: string,
    set: string,
    callback: readonly 'pointer'[],
  ) => [
    defineExport(allocate, callback, ({ process }: ServiceCall) =>
      BigInt.asUintN(32, BigInt(process.environment?.allocateTlsSlot() ?? -1)),
    ),
    defineExport(free, ['u32'], ({ process }, index) => (process.environment?.freeTlsSlot(index) ? 1 : 0)),
    defineExport(get, ['u32'], (call, index) => {
      const slot = slotAddress(call, index);
      setLastError(call, slot === undefined ? ERROR_INVALID_PARAMETER : 0);
      return slot === undefined ? 0n : readPointer(call.memory, slot, call.pointerSize);
    }),
    defineExport(set, ['u32', 'pointer'], (call, index, value) => {
      const slot = slotAddress(call, index);
      if (slot === undefined) return 0;
      writePointer(call.memory, slot, value, call.pointerSize);
      return 1;
    }),
  ];
  const writeTime = ({ kernel, thread }: ServiceCall, target: bigint, origin: bigint) =>
    thread.memory.writeU64(target, origin + kernel.scheduler.time);
  return [
    defineExport('GetLastError', [], ({ process, thread }) =>
      thread.teb === undefined ? 0 : (process.environment?.getLastError(thread.teb) ?? 0),
    ),
    defineExport('SetLastError', ['u32'], setLastError),
    defineExport('GetCurrentProcess', [], ({ pointerSize }) => BigInt.asUintN(pointerSize * 8, -1n)),
    defineExport('GetCurrentThread', [], ({ pointerSize }) => BigInt.asUintN(pointerSize * 8, -2n)),
    defineExport('GetCurrentProcessId', [], ({ process }) => process.id),
    defineExport('GetCurrentThreadId', [], ({ thread }) => thread.id),
    defineExport(
      'CreateThread',
      ['pointer', 'size', 'pointer', 'pointer', 'u32', 'pointer'],
      ({ process, thread }, _security, _stack, start, parameter, _flags, id) => {
        const created = process.createThread(start, [parameter]);
        if (id !== 0n) thread.memory.writeU32(id, created.id);
        return process.handles.open(created);
      },
    ),
    defineExport('ExitThread', ['u32'], ({ thread }, code) => endThread(thread, BigInt(code))),
    defineExport('TerminateProcess', ['pointer', 'u32'], ({ process, thread }, _handle, code) => {
      finishThread(thread, BigInt(code));
      process.terminate(code);
      return CONTEXT_SET;
    }),
    ...slots('TlsAlloc', 'TlsFree', 'TlsGetValue', 'TlsSetValue', []),
    ...slots('FlsAlloc', 'FlsFree', 'FlsGetValue', 'FlsSetValue', ['pointer']),
    defineExport('IsDebuggerPresent', [], () => 0),
    defineExport('IsProcessorFeaturePresent', ['u32'], () => 0),
    defineExport('EncodePointer', ['pointer'], (_call, pointer) => pointer),
    defineExport('DecodePointer', ['pointer'], (_call, pointer) => pointer),
    defineExport('RaiseFailFastException', ['pointer', 'pointer', 'u32'], (call) => {
      failFast(call, FAST_FAIL_FATAL_APP_EXIT, 'RaiseFailFastException');
      return CONTEXT_SET;
    }),
    defineExport('QueryPerformanceCounter', ['pointer'], (call, target) => {
      writeTime(call, target, 0n);
      return 1;
    }),
    defineExport('GetSystemTimeAsFileTime', ['pointer'], (call, target) =>
      writeTime(call, target, BOOT_TIME),
    ),
    defineExport('GetTickCount64', [], ({ kernel }) => kernel.scheduler.time / 10_000n),
    defineExport('OutputDebugStringA', ['cstring'], ({ kernel }, text) => {
      kernel.events.emit({ kind: 'debugPrint', text: `OutputDebugString: ${text.trimEnd()}` });
    }),
    defineExport('OutputDebugStringW', ['wstring'], ({ kernel }, text) => {
      kernel.events.emit({ kind: 'debugPrint', text: `OutputDebugString: ${text.trimEnd()}` });
    }),
    defineExport('FlushInstructionCache', ['pointer', 'pointer', 'size'], ({ kernel }) => {
      kernel.machine.serialise();
      return 1;
    }),
  ];
}
