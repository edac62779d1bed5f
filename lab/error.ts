import { BuildError, type BuildRuleId, MakeError, type MakeRule } from '../builder/index.js';
import { CpuError, type CpuRule } from '../cpu/index.js';
import { HotPatchError, type HotPatchRule } from '../engine/index.js';
import { ImageError, type ImageRule } from '../image/index.js';

import { BugCheck, GuestCrash, KernelError, type KernelRule } from '../loader/index.js';
import { DeviceOpenError } from './device-handle.js';

/** Every rule that an error of the laboratory can name. */
export type Rule =
  | CpuRule
  | ImageRule
  | KernelRule
  | HotPatchRule
  | BuildRuleId
  | MakeRule
  | 'deviceNotOpened'
  | 'guestCrash'
  | 'bugCheck';

/** What every error of the laboratory says, whichever room it comes from. */
export interface LabErrorFacts {
  /** Stable name of the rule that was broken, to test against. */
  readonly rule: Rule;
  /** The story, without what the other fields say. */
  readonly reason: string;
  /** What Windows would return; undefined where it has no status. */
  readonly status?: { readonly name: string; readonly value: number } | undefined;
  /** File name or BaseDllName. */
  readonly image?: string | undefined;
  /** Where in it: a structure and an offset, a record, a symbol. */
  readonly place?: string | undefined;
  /** What to try next. */
  readonly hint?: string | undefined;
}

/** An error of any room, told apart by its class or its rule. */
export type LabError = (
  | CpuError
  | ImageError
  | KernelError
  | HotPatchError
  | BuildError
  | MakeError
  | GuestCrash
  | BugCheck
  | DeviceOpenError
) &
  LabErrorFacts;

const LAB_ERRORS = [
  CpuError,
  ImageError,
  KernelError,
  HotPatchError,
  BuildError,
  MakeError,
  GuestCrash,
  BugCheck,
  DeviceOpenError,
] as const;

/** Is this an error of the laboratory, with a rule to test against? Anything else is a mistake in code that calls it, or in it. */
export function isLabError(error: unknown): error is LabError {
  return LAB_ERRORS.some((type) => error instanceof type);
}
