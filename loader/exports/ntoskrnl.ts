import { BAD_POOL_CALLER, BugCheck } from '../common/index.js';
import { type ServiceCall, type SimulatedModule, stopSystem } from '../dispatch/index.js';
import type { Pool } from '../memory/index.js';
import { CONTEXT_SET } from '../threads/index.js';
import { exceptionExports } from './exceptions.js';
import { formatGuestString } from './format.js';
import { guardExports } from './guard.js';
import { interlockedExports } from './interlocked.js';
import { kernelDpc } from './kernel-dpc.js';
import { kernelIo } from './kernel-io.js';
import { kernelMdl } from './kernel-mdl.js';
import { kernelObjects } from './kernel-objects.js';
import { kernelResources } from './kernel-resources.js';
import { kernelSynchronization } from './kernel-synchronization.js';
import { kernelThreads } from './kernel-threads.js';
import { memoryExports } from './memory.js';
import { rtlStringExports } from './rtl-strings.js';
import { defineExport } from './simulated-export.js';
import { commonStringExports } from './ucrtbase/index.js';
import { unwindingExports } from './unwinding.js';

const POOL_FLAG_USE_QUOTA = 0x1n;
const POOL_FLAG_UNINITIALIZED = 0x2n;

/** The exports of the NT kernel that simulated drivers call. wdm.h; ntddk.h. */
export function ntoskrnl(): SimulatedModule {
  return {
    name: 'ntoskrnl.exe',
    exports: [
      defineExport('DbgPrint', ['cstring'], (call, format) => debugPrint(call, format, 1), 'cdecl'),
      defineExport(
        'DbgPrintEx',
        ['u32', 'u32', 'cstring'],
        (call, _component, _level, format) => debugPrint(call, format, 3),
        'cdecl',
      ),
      defineExport('ExAllocatePool2', ['u64', 'size', 'u32'], (call, flags, size, tag) =>
        poolOf(call).allocate(Number(size), tag, {
          fill: (flags & POOL_FLAG_UNINITIALIZED) !== 0n ? 0xcd : 0,
          quota: (flags & POOL_FLAG_USE_QUOTA) !== 0n,
        }),
      ),
      defineExport('ExAllocatePoolWithTag', ['u32', 'size', 'u32'], (call, _type, size, tag) =>
        poolOf(call).allocate(Number(size), tag, { fill: 0xcd, quota: false }),
      ),
      defineExport('ExFreePoolWithTag', ['pointer', 'u32'], freePool),
      defineExport('ExFreePool', ['pointer'], (call, address) => freePool(call, address, 0)),
      defineExport(
        'MmGetSystemRoutineAddress',
        ['ustring'],
        ({ domain }, name) => domain.services.resolve('ntoskrnl.exe', name) ?? 0n,
      ),
      ...kernelDpc(),
      ...kernelIo(),
      ...kernelMdl(),
      ...kernelObjects(),
      ...kernelResources(),
      ...kernelSynchronization(),
      ...kernelThreads(),
      ...interlockedExports(),
      ...commonStringExports(),
      ...rtlStringExports(),
      ...memoryExports(),
      ...guardExports('kernel'),
      ...unwindingExports(),
      ...exceptionExports(),
    ],
  };
}

/** Parameters of BAD_POOL_CALLER (bugcodes, "0xC2"): a wrong tag, an address that no block begins at. */
const WRONG_TAG = 0xan;
const INVALID_ADDRESS = 0x46n;

/** What is no block of the pool, or another tag's, stops the system. */
function freePool(call: ServiceCall, address: bigint, tag: number): typeof CONTEXT_SET | undefined {
  const pool = poolOf(call);
  const refusal = pool.refusal(address, tag);
  if (refusal === undefined) {
    pool.free(address, tag);
    return undefined;
  }
  const { kernel, thread } = call;
  const where = `0x${address.toString(16)}`;
  const [parameters, text] =
    refusal.tag === undefined
      ? [[INVALID_ADDRESS, address, 0n, 0n], `${where} is no block of the pool, or was freed already`]
      : [[WRONG_TAG, address, BigInt(refusal.tag), BigInt(tag)], `${where} is a block with another tag`];
  stopSystem(kernel, thread, new BugCheck(BAD_POOL_CALLER, parameters, text), text);
  return CONTEXT_SET;
}

/** A 32-bit driver runs in a process, where an address of the kernel's pool would not fit into a pointer. */
function poolOf({ domain, kernel, process }: ServiceCall): Pool {
  return domain.kind === 'user' ? process.heap : kernel.pool;
}

function debugPrint(call: ServiceCall, format: string, first: number): number {
  const text = formatGuestString(call, format, first).replace(/\n$/, '');
  call.kernel.events.emit({ kind: 'debugPrint', text: `DbgPrint: ${text}` });
  return 0;
}
