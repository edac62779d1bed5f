import type { ImageRule } from './rules.js';
import { type NtStatus, type NtStatusName, ntStatus } from './status.js';

/** What an {@link ImageError} is made of. */
export interface ImageErrorDetails {
  /** Stable name of what was broken, e.g. `headers.signature`; tests and `--json` rely on it. */
  rule: ImageRule;
  /** Where in the file: a structure and an offset into it, e.g. `optional header +0x3c`. Of a file that cannot be read: its name. */
  place: string;
  /** What is wrong. */
  message: string;
  /** Default STATUS_INVALID_IMAGE_FORMAT. */
  status?: NtStatusName;
  /** Name of the file. */
  file?: string | undefined;
  /** What to try next. */
  hint?: string | undefined;
  /** The error that it was found by. */
  cause?: unknown;
}

/** The only error that this room throws for what a file contains, and for what no file could be made of. */
export class ImageError extends Error {
  /** Stable name of the rule that was broken; tests and `--json` rely on it. */
  readonly rule: ImageRule;
  /** Where in the file: a structure with an offset, a record. Of a file that cannot be read: its name. */
  readonly place: string;
  /** What Windows would return. */
  readonly status: NtStatus;
  /** Name of the file, where it was given. */
  readonly file?: string;
  /** What to try next. */
  readonly hint?: string;
  /** The message without file, place and status. */
  readonly reason: string;

  /** The file, as the errors of the other rooms call it. */
  get image(): string | undefined {
    return this.file;
  }

  constructor(details: ImageErrorDetails) {
    const status = ntStatus(details.status ?? 'STATUS_INVALID_IMAGE_FORMAT');
    const where = [...new Set([details.file, details.place])].filter((part) => part !== undefined);
    super(
      `${where.join(': ')}: ${details.message} (${details.rule}, ${status.name})`,
      details.cause === undefined ? {} : { cause: details.cause },
    );
    this.name = 'ImageError';
    this.rule = details.rule;
    this.place = details.place;
    this.status = status;
    this.reason = details.message;
    if (details.file !== undefined) this.file = details.file;
    if (details.hint !== undefined) this.hint = details.hint;
  }
}
