import { type NtStatus, type NtStatusName, ntStatus } from '../../image/index.js';
import type { KernelRule } from './rules.js';

/** What a {@link KernelError} is made of. */
export interface KernelErrorDetails {
  /** Stable camelCase name of the rule that was broken; tests and `--json` rely on it. */
  readonly rule: KernelRule;
  /** What Windows would return. */
  readonly status: NtStatusName;
  /** The story, without what the other fields say. */
  readonly message: string;
  /** BaseDllName of the image that it is about. */
  readonly image?: string;
  /** Where in it, or in the system: `import 3`, `process a.exe (16)`. */
  readonly place?: string;
  /** What to try next. */
  readonly hint?: string | undefined;
  /** The error that it was found by. */
  readonly cause?: unknown;
}

/** @param process name and id, as the transcript has them: `mail.exe (16)` */
export const processTerminated = (process: string): KernelError =>
  new KernelError({
    rule: 'processTerminated',
    status: 'STATUS_PROCESS_IS_TERMINATING',
    place: process,
    message: `process ${process} has ended`,
  });

/** A request that the simulated system refuses: which rule, which image, with the NTSTATUS Windows would return. */
export class KernelError extends Error {
  override readonly name: string = 'KernelError';
  /** Stable camelCase name of the rule that was broken; tests and `--json` rely on it. */
  readonly rule: KernelRule;
  /** What Windows would return. */
  readonly status: NtStatus;
  /** BaseDllName of the image that it is about. */
  readonly image?: string;
  /** Where in it: an export, a section, a symbol. */
  readonly place?: string;
  /** What to try next. */
  readonly hint?: string;
  /** The message without image and status. */
  readonly reason: string;

  constructor(details: KernelErrorDetails) {
    const status = ntStatus(details.status);
    super(
      `${details.image === undefined ? '' : `${details.image}: `}${details.message} (${details.rule}, ${status.name})`,
      details.cause === undefined ? {} : { cause: details.cause },
    );
    this.rule = details.rule;
    this.status = status;
    this.reason = details.message;
    if (details.image !== undefined) this.image = details.image;
    if (details.place !== undefined) this.place = details.place;
    if (details.hint !== undefined) this.hint = details.hint;
  }
}
