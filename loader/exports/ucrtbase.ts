import { failFast, type ServiceCall, type SimulatedModule } from '../dispatch/index.js';
import { readPointer } from '../memory/index.js';
import { CONTEXT_SET } from '../threads/index.js';
import { memoryExports } from './memory.js';
import { defineExport } from './simulated-export.js';
import { stringExports } from './strings.js';
import { crtMemory } from './user-memory.js';

const FAST_FAIL_FATAL_APP_EXIT = 7;

/** Calls each function of an array of pointers, as the runtime does with initialisers; stops at a result that is not 0. */
function callAll(call: ServiceCall, first: bigint, last: bigint, stop: boolean): bigint {
  const { kernel, domain, pointerSize, thread } = call;
  for (let at = first; at < last; at += BigInt(pointerSize)) {
    const target = readPointer(thread.memory, at, pointerSize);
    if (target === 0n) continue;
    const result = kernel.callThread(target, [], { domain, name: 'initialiser' }).returnValue ?? 0n;
    if (stop && (result & 0xffffffffn) !== 0n) return result;
  }
  return 0n;
}

/** What programs call of the universal C runtime. */
export function ucrtbase(): SimulatedModule {
  const fatal = (name: string) =>
    defineExport(
      name,
      [],
      (call) => {
        failFast(call, FAST_FAIL_FATAL_APP_EXIT, name);
        return CONTEXT_SET;
      },
      'cdecl',
    );
  const succeed = (name: string) => defineExport(name, [], () => 0, 'cdecl');
  return {
    name: 'ucrtbase.dll',
    exports: [
      ...memoryExports(),
      ...stringExports(),
      ...crtMemory(),
      defineExport(
        '_initterm',
        ['pointer', 'pointer'],
        (call, first, last) => {
          callAll(call, first, last, false);
        },
        'cdecl',
      ),
      defineExport(
        '_initterm_e',
        ['pointer', 'pointer'],
        (call, first, last) => callAll(call, first, last, true),
        'cdecl',
      ),
      ...['abort', 'terminate', '_invoke_watson'].map(fatal),
      ...[
        '_configure_narrow_argv',
        '_initialize_narrow_environment',
        '_initialize_onexit_table',
        '_register_onexit_function',
        '_execute_onexit_table',
        '_crt_atexit',
        '_cexit',
      ].map(succeed),
    ],
  };
}
