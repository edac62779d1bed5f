/** The system stopped: a blue screen, with its code and parameters (bugcodes.h). Nothing runs after it. */
export class BugCheck extends Error {
  override readonly name = 'BugCheck';
  /** The rule of every stop. */
  readonly rule = 'bugCheck';

  constructor(
    /** As in bugcodes.h: 0x1a is MEMORY_MANAGEMENT. */
    readonly code: number,
    /** The four parameters, or fewer. */
    readonly parameters: readonly bigint[],
    /** The message without code and parameters. */
    readonly reason: string,
  ) {
    super(
      `bugcheck ${BUG_CHECK_NAMES.get(code) ?? ''} 0x${code.toString(16)} (${parameters.map((value) => `0x${value.toString(16)}`).join(', ')}): ${reason}`,
    );
  }
}

export const KMODE_EXCEPTION_NOT_HANDLED = 0x1e;
export const MEMORY_MANAGEMENT = 0x1a;
export const PAGE_FAULT_IN_NONPAGED_AREA = 0x50;
export const SYSTEM_THREAD_EXCEPTION_NOT_HANDLED = 0x7e;
export const ATTEMPTED_SWITCH_FROM_DPC = 0xb8;
export const MAXIMUM_WAIT_OBJECTS_EXCEEDED = 0xc;
export const ATTEMPTED_WRITE_TO_READONLY_MEMORY = 0xbe;
export const BAD_POOL_CALLER = 0xc2;
export const DRIVER_IRQL_NOT_LESS_OR_EQUAL = 0xd1;
export const CRITICAL_STRUCTURE_CORRUPTION = 0x109;
export const KERNEL_SECURITY_CHECK_FAILURE = 0x139;
export const HYPERGUARD_VIOLATION = 0x18c;

const BUG_CHECK_NAMES = new Map([
  [KMODE_EXCEPTION_NOT_HANDLED, 'KMODE_EXCEPTION_NOT_HANDLED'],
  [MEMORY_MANAGEMENT, 'MEMORY_MANAGEMENT'],
  [PAGE_FAULT_IN_NONPAGED_AREA, 'PAGE_FAULT_IN_NONPAGED_AREA'],
  [SYSTEM_THREAD_EXCEPTION_NOT_HANDLED, 'SYSTEM_THREAD_EXCEPTION_NOT_HANDLED'],
  [MAXIMUM_WAIT_OBJECTS_EXCEEDED, 'MAXIMUM_WAIT_OBJECTS_EXCEEDED'],
  [BAD_POOL_CALLER, 'BAD_POOL_CALLER'],
  [ATTEMPTED_SWITCH_FROM_DPC, 'ATTEMPTED_SWITCH_FROM_DPC'],
  [ATTEMPTED_WRITE_TO_READONLY_MEMORY, 'ATTEMPTED_WRITE_TO_READONLY_MEMORY'],
  [DRIVER_IRQL_NOT_LESS_OR_EQUAL, 'DRIVER_IRQL_NOT_LESS_OR_EQUAL'],
  [CRITICAL_STRUCTURE_CORRUPTION, 'CRITICAL_STRUCTURE_CORRUPTION'],
  [KERNEL_SECURITY_CHECK_FAILURE, 'KERNEL_SECURITY_CHECK_FAILURE'],
  [HYPERGUARD_VIOLATION, 'HYPERGUARD_VIOLATION'],
]);
