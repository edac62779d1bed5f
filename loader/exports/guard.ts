import { failFast, type ServiceCall, type SimulatedExport } from '../dispatch/index.js';
import { GUARD_FUNCTIONS } from '../images/index.js';
import { CONTEXT_SET } from '../threads/index.js';
import { defineExport } from './simulated-export.js';

const FAST_FAIL_GUARD_ICALL_CHECK_FAILURE = 10;

/** The register in which `__guard_check_icall_fptr` gets the target, which it must leave alone like all others. */
const CHECK_REGISTER = { x64: 'rcx', x86: 'ecx', arm64: 'x15' } as const;
/** … and in which `__guard_dispatch_icall_fptr` gets it, to jump there. */
const DISPATCH_REGISTER = { x64: 'rax', x86: 'eax', arm64: 'x9' } as const;

/** The functions that Control Flow Guard calls before each indirect call: they check, and fail fast. */
export function guardExports(mode: 'user' | 'kernel'): SimulatedExport[] {
  const names = GUARD_FUNCTIONS[mode];
  return [
    defineExport(
      names.check,
      [],
      (call) => {
        check(call, call.processor.get(CHECK_REGISTER[call.thread.architecture.name]));
      },
      'cdecl',
    ),
    defineExport(
      names.dispatch,
      [],
      (call) => {
        const target = call.processor.get(DISPATCH_REGISTER[call.thread.architecture.name]);
        if (check(call, target)) call.processor.pc = target;
        return CONTEXT_SET;
      },
      'cdecl',
    ),
  ];
}

function check(call: ServiceCall, target: bigint): boolean {
  if (call.domain.guard.isValidTarget(target)) return true;
  failFast(
    call,
    FAST_FAIL_GUARD_ICALL_CHECK_FAILURE,
    `indirect call to ${call.thread.describe(target)}, which is no valid target`,
  );
  return false;
}
