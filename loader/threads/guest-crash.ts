import { type NtStatus, type NtStatusName, ntStatus } from '../../image/index.js';
import type { Crash } from './crash.js';
import type { Thread } from './thread.js';

/** Guest code did what nobody handles: the thread, where, and why. STATUS_ACCESS_VIOLATION and its like. */
export class GuestCrash extends Error {
  override readonly name = 'GuestCrash';
  /** The rule of every crash. */
  readonly rule = 'guestCrash';
  /** The exception as an NTSTATUS. */
  readonly status: NtStatus;
  /** The story, with symbols. */
  readonly reason: string;
  /** Where it stood: `demo!call_op+0x12`. */
  readonly place: string;

  constructor(
    /** Whose code it was. */
    readonly thread: Thread,
    /** How it came to it. */
    readonly crash: Crash,
  ) {
    super(crash.text);
    this.reason = crash.text;
    this.place = thread.describe(crash.fault?.instruction ?? crash.exception?.address ?? thread.pc);
    this.status = ntStatus(statusName(crash));
  }
}

const NAMED = [
  'STATUS_ACCESS_VIOLATION',
  'STATUS_INTEGER_DIVIDE_BY_ZERO',
  'STATUS_PRIVILEGED_INSTRUCTION',
  'STATUS_STACK_BUFFER_OVERRUN',
] as const satisfies NtStatusName[];

/** The names that the house's table has; any other exception is told by its text and {@link Crash.exception}. */
function statusName({ fault, exception }: Crash): NtStatusName {
  const found = NAMED.find((name) => ntStatus(name).value === exception?.code);
  return found ?? (fault === undefined ? 'STATUS_ILLEGAL_INSTRUCTION' : 'STATUS_ACCESS_VIOLATION');
}
