import type { Exit, Fault } from '../../cpu/index.js';
import type { BugCheck } from '../common/index.js';

/** An exception before it is written into an EXCEPTION_RECORD. */
export interface ExceptionDetails {
  readonly code: number;
  readonly flags: number;
  /** Where it happened. */
  readonly address: bigint;
  readonly parameters: readonly bigint[];
}

/** Why a thread crashed: the exception that nothing handled, told with symbols. */
export interface Crash {
  /** How the processor left the guest; undefined when software raised the exception. */
  readonly exit?: Exit;
  /** The access that was refused; undefined when it was something else. */
  readonly fault?: Fault;
  /** EXCEPTION_RECORD's code, address and parameters. */
  readonly exception?: ExceptionDetails;
  /** Of code of the kernel: what the system stops with. */
  readonly bugCheck?: BugCheck;
  /** `access violation: execute of … at demo!call_op+0x12` */
  readonly text: string;
}
