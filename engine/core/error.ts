import { type NtStatus, type NtStatusName, ntStatus } from '../../image/index.js';
import { KernelError } from '../../loader/index.js';
import type { HotPatchRule } from './rules.js';

export interface HotPatchErrorDetails {
  readonly rule: HotPatchRule;
  readonly status: NtStatusName;
  readonly message: string;
  /** BaseDllName of the patch image. */
  readonly image?: string | undefined;
  /** `chunk 2, record 5`, `hotpatch table +0x10`. */
  readonly place?: string | undefined;
  /** `demo!dispatch` */
  readonly symbol?: string | undefined;
  /** Whose address space: `a.exe (16)`, `session 2`. */
  readonly domain?: string | undefined;
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

/** A patch that the engine refused, or that failed and was undone: the machine is as it was before. */
export class HotPatchError extends Error {
  override readonly name = 'HotPatchError';
  readonly rule: HotPatchRule;
  readonly status: NtStatus;
  readonly image?: string;
  readonly place?: string;
  readonly symbol?: string;
  readonly domain?: string;
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
