import type { CpuRule } from './rules.js';

/** Status values of ntstatus.h that this room reports. */
export const STATUS = {
  STATUS_ACCESS_VIOLATION: 0xc0000005,
  STATUS_INVALID_PARAMETER: 0xc000000d,
  STATUS_NO_MEMORY: 0xc0000017,
  STATUS_CONFLICTING_ADDRESSES: 0xc0000018,
  STATUS_NOT_COMMITTED: 0xc000002d,
  STATUS_INVALID_PAGE_PROTECTION: 0xc0000045,
  STATUS_DLL_NOT_FOUND: 0xc0000135,
  STATUS_INTERNAL_ERROR: 0xc00000e5,
  STATUS_INVALID_DEVICE_STATE: 0xc0000184,
} as const;

export type StatusName = keyof typeof STATUS;

export interface CpuErrorDetails {
  readonly status?: StatusName;
  readonly address?: bigint;
  /** BaseDllName of the image that it is about. */
  readonly image?: string;
  /** Where in it: `line 3`, `VTL1 pool`. */
  readonly place?: string;
  /** What to try next. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/** Every error of this room. `rule` is a stable camelCase name to test against; `message` is the story. */
export class CpuError extends Error {
  override readonly name: string = 'CpuError';
  /** Stable camelCase name of what is wrong, to test against. */
  readonly rule: CpuRule;
  /** What Windows would return; undefined where it has no status. */
  readonly status?: { readonly name: StatusName; readonly value: number };
  /** Guest address that it is about. */
  readonly address?: bigint;
  /** BaseDllName of the image that it is about. */
  readonly image?: string;
  /** Where in it: `line 3`, `VTL1 pool`. */
  readonly place?: string;
  /** What to try next. */
  readonly hint?: string;
  /** The message without anything of the above. */
  readonly reason: string;

  constructor(rule: CpuRule, message: string, details: CpuErrorDetails = {}) {
    super(message, details.cause === undefined ? {} : { cause: details.cause });
    this.rule = rule;
    this.reason = message;
    if (details.status !== undefined) this.status = { name: details.status, value: STATUS[details.status] };
    if (details.address !== undefined) this.address = details.address;
    if (details.image !== undefined) this.image = details.image;
    if (details.place !== undefined) this.place = details.place;
    if (details.hint !== undefined) this.hint = details.hint;
  }
}

/** @param doing what somebody wants of a machine that is gone */
export const machineDisposed = (doing: string): CpuError =>
  new CpuError('machineDisposed', `cannot ${doing}: the machine has been disposed of`, {
    status: 'STATUS_INVALID_DEVICE_STATE',
    place: doing,
  });

export const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

export const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
