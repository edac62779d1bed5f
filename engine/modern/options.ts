import {
  ADDRESS,
  anyOf,
  BYTES,
  FLAG,
  listOf,
  type OptionTable,
  optional,
  optionsOf,
  wordOf,
} from '../../loader/index.js';
import type { DynamicValues } from './plan.js';

/** Ways in which hotpatch engines of different builds differ, and limits of this one. */
export interface EngineOptions {
  /**
   * EnforcePatchSequenceNumbers: a patch must be newer than the one in force. Always set in 22631; false as in older
   * builds. Default: as the build that the kernel was booted as, else true.
   */
  readonly enforcePatchSequenceNumbers?: boolean;
  /** Taking a patch back at run time; newer builds refuse it (disagreement D-5). Default: as the build, else true. */
  readonly allowUndo?: boolean;
  /**
   * Apply patches to user images, too. False leaves them registered (STATUS_PATCH_DEFERRED) until the loader of a process
   * asks for it by NtManageHotPatch(ApplyImagePatch). Default true.
   */
  readonly patchUserImages?: boolean;
  /** Refuse patches until `registerBootPatches` has been called, as the kernel does in its initialisation. Default false. */
  readonly awaitBootPatches?: boolean;
  /** Validate REL32 records and store nothing, as the NT builds seen do (docs/fidelity.md#u-7). Default: as the build, else false. */
  readonly ignoreRel32?: boolean;
  /** What DYNAMIC_VALUE records add; NT passes none. `invalid` is the pointer -1. */
  readonly dynamicValues?: DynamicValues | 'invalid';
}

const DYNAMIC_VALUES = anyOf(
  [
    wordOf(['invalid']),
    optionsOf<DynamicValues>({ present: BYTES, values: listOf(ADDRESS, 'a list of values') }),
  ],
  "'invalid' or { present, values }",
);

/** What the options of the engine may be. */
export const ENGINE_OPTIONS: OptionTable<EngineOptions> = {
  enforcePatchSequenceNumbers: optional(FLAG),
  allowUndo: optional(FLAG),
  patchUserImages: optional(FLAG),
  awaitBootPatches: optional(FLAG),
  ignoreRel32: optional(FLAG),
  dynamicValues: optional(DYNAMIC_VALUES),
};
