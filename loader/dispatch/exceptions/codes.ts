import type { Exit } from '../../../cpu/index.js';
import type { ExceptionDetails } from '../../threads/index.js';

/** Exception codes (ntstatus.h), as far as processors and this kernel raise them. */
export const EXCEPTION_CODES = {
  STATUS_GUARD_PAGE_VIOLATION: 0x8000_0001,
  STATUS_DATATYPE_MISALIGNMENT: 0x8000_0002,
  STATUS_BREAKPOINT: 0x8000_0003,
  STATUS_SINGLE_STEP: 0x8000_0004,
  STATUS_ACCESS_VIOLATION: 0xc000_0005,
  STATUS_ILLEGAL_INSTRUCTION: 0xc000_001d,
  STATUS_NONCONTINUABLE_EXCEPTION: 0xc000_0025,
  STATUS_INVALID_UNWIND_TARGET: 0xc000_0029,
  STATUS_ARRAY_BOUNDS_EXCEEDED: 0xc000_008c,
  STATUS_FLOAT_INVALID_OPERATION: 0xc000_0090,
  STATUS_INTEGER_DIVIDE_BY_ZERO: 0xc000_0094,
  STATUS_INTEGER_OVERFLOW: 0xc000_0095,
  STATUS_PRIVILEGED_INSTRUCTION: 0xc000_0096,
  STATUS_STACK_OVERFLOW: 0xc000_00fd,
  STATUS_STACK_BUFFER_OVERRUN: 0xc000_0409,
  STATUS_ASSERTION_FAILURE: 0xc000_0420,
} as const;
export type ExceptionCodeName = keyof typeof EXCEPTION_CODES;

export function exceptionName(code: number): string {
  const found = Object.entries(EXCEPTION_CODES).find(([, value]) => value === code);
  return found === undefined ? `exception 0x${code.toString(16)}` : `${found[0]} (0x${code.toString(16)})`;
}

export const EXCEPTION_NONCONTINUABLE = 1;
export const EXCEPTION_UNWINDING = 2;
export const EXCEPTION_EXIT_UNWIND = 4;
export const EXCEPTION_TARGET_UNWIND = 0x20;

/** EXCEPTION_DISPOSITION (excpt.h): what a handler returns. */
export const DISPOSITION = { continueExecution: 0n, continueSearch: 1n } as const;

const BY_NAME: Readonly<Partial<Record<string, ExceptionCodeName>>> = {
  divideError: 'STATUS_INTEGER_DIVIDE_BY_ZERO',
  divideOverflow: 'STATUS_INTEGER_OVERFLOW',
  debug: 'STATUS_SINGLE_STEP',
  breakpoint: 'STATUS_BREAKPOINT',
  overflow: 'STATUS_INTEGER_OVERFLOW',
  boundRange: 'STATUS_ARRAY_BOUNDS_EXCEEDED',
  invalidOpcode: 'STATUS_ILLEGAL_INSTRUCTION',
  floatingPoint: 'STATUS_FLOAT_INVALID_OPERATION',
  simdFloatingPoint: 'STATUS_FLOAT_INVALID_OPERATION',
  alignmentCheck: 'STATUS_DATATYPE_MISALIGNMENT',
  pcAlignment: 'STATUS_DATATYPE_MISALIGNMENT',
  assertion: 'STATUS_ASSERTION_FAILURE',
};
/** ExceptionInformation[0] of an access violation (winnt.h, "EXCEPTION_RECORD"). */
const ACCESS = { read: 0n, write: 1n, execute: 8n } as const;
const ALL_ONES = { 4: 0xffff_ffffn, 8: 0xffff_ffff_ffff_ffffn } as const;

/**
 * The exception that an exit of the processor is; undefined when it is none, or one that no handler ever sees (a fast
 * fail).
 */
export function exceptionOf(exit: Exit, pc: bigint, pointerSize: 4 | 8): ExceptionDetails | undefined {
  if (exit.reason === 'fault') {
    const { access, address, cause } = exit.fault;
    const code =
      cause === 'guard'
        ? EXCEPTION_CODES.STATUS_GUARD_PAGE_VIOLATION
        : EXCEPTION_CODES.STATUS_ACCESS_VIOLATION;
    const where = cause === 'noncanonical' ? ALL_ONES[pointerSize] : address;
    const parameters = [cause === 'noncanonical' ? ACCESS.read : ACCESS[access], where];
    return { code, flags: 0, address: pc, parameters };
  }
  if (exit.reason !== 'exception' || exit.name === 'fastFail') return undefined;
  if (exit.name === 'generalProtection') {
    if (exit.privileged === true) {
      return { code: EXCEPTION_CODES.STATUS_PRIVILEGED_INSTRUCTION, flags: 0, address: pc, parameters: [] };
    }
    const parameters = [ACCESS.read, ALL_ONES[pointerSize]];
    return { code: EXCEPTION_CODES.STATUS_ACCESS_VIOLATION, flags: 0, address: pc, parameters };
  }
  const name = BY_NAME[exit.name];
  if (name === undefined) return undefined;
  // The processor stands behind a trap; Windows reports int3 at the instruction (KiBreakpointTrap's adjustment).
  const address = name === 'STATUS_BREAKPOINT' ? exit.instruction : pc;
  // One parameter, BREAKPOINT_BREAK.
  const parameters = name === 'STATUS_BREAKPOINT' ? [0n] : [];
  return { code: EXCEPTION_CODES[name], flags: 0, address, parameters };
}
