import { type NtStatus, type NtStatusName, ntStatus } from '../../image/index.js';
import { KernelError } from '../../loader/index.js';
import type { HotPatchRule } from './rules.js';

/** What a {@link HotPatchError} is made of. */
export interface HotPatchErrorDetails {
  /** Stable name of the rule that was broken. */
  readonly rule: HotPatchRule;
  /** What NtManageHotPatch or NtSetSystemInformation would return. */
  readonly status: NtStatusName;
  /** The story, without what the other fields say. */
  readonly message: string;
  /** BaseDllName of the patch image. */
  readonly image?: string | undefined;
  /** `chunk 2, record 5`, `hotpatch table +0x10`. */
  readonly place?: string | undefined;
  /** `demo!dispatch` */
  readonly symbol?: string | undefined;
  /** Whose address space: `a.exe (16)`, `session 2`. */
  readonly domain?: string | undefined;
  /** What to try next. */
  readonly hint?: string | undefined;
  /** The error that it was found by. */
  readonly cause?: unknown;
}

/** A patch that the engine refused, or that failed and was undone: the machine is as it was before. */
export class HotPatchError extends Error {
  override readonly name = 'HotPatchError';
  /** Stable name of the rule that was broken; tests and `--json` rely on it. */
  readonly rule: HotPatchRule;
  /** What NtManageHotPatch or NtSetSystemInformation would return. */
  readonly status: NtStatus;
  /** BaseDllName of the patch image. */
  readonly image?: string;
  /** `chunk 2, record 5`, `hotpatch table +0x10`. */
  readonly place?: string;
  /** The function that it is about: `demo!dispatch`. */
  readonly symbol?: string;
  /** Whose address space: `a.exe (16)`, `session 2`. */
  readonly domain?: string;
  /** What to try next. */
  readonly hint?: string;
  /** The message without image, place and status. */
  readonly reason: string;

  constructor(details: HotPatchErrorDetails) {
    const status = ntStatus(details.status);
    const { image, place, symbol, domain } = details;
    const where = [image, place, symbol, domain === undefined ? undefined : `in ${domain}`]
      .filter((part) => part !== undefined)
      .join(', ');
    super(
      `${where === '' ? '' : `${where}: `}${details.message} (${details.rule}, ${status.name})`,
      details.cause === undefined ? {} : { cause: details.cause },
    );
    this.rule = details.rule;
    this.status = status;
    this.reason = details.message;
    if (details.image !== undefined) this.image = details.image;
    if (details.place !== undefined) this.place = details.place;
    if (details.symbol !== undefined) this.symbol = details.symbol;
    if (details.domain !== undefined) this.domain = details.domain;
    if (details.hint !== undefined) this.hint = details.hint;
  }

  /** The same refusal, and whose address space it was met in. */
  in(domain: string | undefined): HotPatchError {
    const { rule, image, place, symbol, hint, cause } = this;
    const { name: status } = this.status;
    return new HotPatchError({
      rule,
      status,
      message: this.reason,
      image,
      place,
      symbol,
      domain,
      hint,
      cause,
    });
  }
}

/** What a system service answers when this ended its work; undefined: the project's own bug. */
export function statusOfError(error: unknown): NtStatus | undefined {
  return error instanceof HotPatchError || error instanceof KernelError ? error.status : undefined;
}
