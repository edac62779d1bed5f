export type FaultAccess = 'read' | 'write' | 'execute';

/**
 * Why an access was refused. `reserved` and `notCommitted`: no memory there. `protection`: the page's own protection.
 * `secondLevel`: the Secure Kernel forbids it whatever the page says. `ring`: user mode touched a kernel page, or the
 * kernel ran a user page (SMEP). `guard`: first access to a guard page.
 */
export type FaultCause =
  | 'notCommitted'
  | 'reserved'
  | 'protection'
  | 'secondLevel'
  | 'ring'
  | 'guard'
  | 'noncanonical';

export interface Fault {
  /** Exact virtual address; the first byte of the second page when an access crosses into it. */
  readonly address: bigint;
  readonly access: FaultAccess;
  readonly cause: FaultCause;
  /** Address of the instruction, which has had no effect and can be restarted. */
  readonly instruction: bigint;
  /** Index of the processor. */
  readonly processor: number;
}

export type ExceptionName =
  | 'divideError'
  /** Divide error of a divisor that is not 0: the quotient does not fit. */
  | 'divideOverflow'
  | 'debug'
  | 'breakpoint'
  | 'overflow'
  | 'boundRange'
  | 'invalidOpcode'
  | 'deviceNotAvailable'
  | 'doubleFault'
  | 'segmentNotPresent'
  | 'stackSegment'
  | 'generalProtection'
  | 'floatingPoint'
  | 'alignmentCheck'
  /** ARM64: a branch to an address that is no multiple of 4. */
  | 'pcAlignment'
  | 'simdFloatingPoint'
  | 'fastFail'
  | 'assertion'
  | 'debugService'
  | 'secureMonitorCall'
  | 'interrupt';

export type ExitReason = Exit['reason'];

/**
 * Why {@link Processor.run} came back. `instructions` is the exact number of instructions completed in this run: one
 * that faulted is not counted, one that trapped (pc behind it) is. Each iteration of a repeated string instruction counts.
 */
export type Exit = { readonly instructions: number } & (
  | { readonly reason: 'instructionLimit' }
  | { readonly reason: 'breakpoint'; readonly address: bigint }
  /** pc is {@link Architecture.returnAddress}. */
  | { readonly reason: 'returned' }
  /** pc is `address`, in a service page; nothing of it has been executed. */
  | { readonly reason: 'serviceCall'; readonly address: bigint }
  | { readonly reason: 'fault'; readonly fault: Fault }
  /** syscall, sysenter, int 0x2e or svc. pc is behind the instruction. `number`: eax, or the immediate of svc. */
  | {
      readonly reason: 'systemCall';
      readonly number: number;
      readonly instruction: bigint;
      readonly via: 'syscall' | 'sysenter' | 'int' | 'svc';
    }
  /**
   * pc is what the processor would save: behind the instruction for traps (int3, int n), at it for faults (divide error,
   * invalid opcode, brk). `code`: ecx or x0 of a fast fail, the immediate of brk. `privileged`: of a general protection
   * fault, that the instruction is one for the kernel.
   */
  | {
      readonly reason: 'exception';
      readonly name: ExceptionName;
      readonly vector: number;
      readonly instruction: bigint;
      readonly code?: number;
      readonly privileged?: boolean;
    }
  /** hlt or wfi; pc is behind it. */
  | { readonly reason: 'halted' }
);
