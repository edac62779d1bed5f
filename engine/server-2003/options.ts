import { FLAG, type OptionTable, optional } from '../../loader/index.js';
import type { LoadHotPatchOptions } from '../core/index.js';

/** How careful the engine of Server 2003 is, where nothing public says how careful Windows was. */
export interface HotPatch2003Options {
  /**
   * Refuse a hook whose entry or padding is not what cl /hotpatch and link /FUNCTIONPADMIN leave. Default true; without it
   * only the hotpatch's own validations decide, as documented.
   */
  readonly checkEntries?: boolean;
  /**
   * Hold all processors while hook bytes are swapped. Default true (modelled); without it an operation that is given up on
   * the way is taken back without a look at threads that have entered it.
   */
  readonly gatherProcessors?: boolean;
  /**
   * When a hotpatch is disabled, leave the jump in the padding of a function where a thread stands on it. Default true
   * (modelled); false swaps every byte back without looking.
   */
  readonly spareOccupiedPadding?: boolean;
}

/** What the options of the engine may be. */
export const HOT_PATCH_2003_OPTIONS: OptionTable<HotPatch2003Options> = {
  checkEntries: optional(FLAG),
  gatherProcessors: optional(FLAG),
  spareOccupiedPadding: optional(FLAG),
};

/** How a hotpatch of Server 2003 is loaded. */
export interface LoadPatch2003Options extends LoadHotPatchOptions {
  /** Load it, apply fixups and validate, but leave the hooks unchanged (ACTIVE is clear). Default: active. */
  readonly active?: boolean;
  /** Where to map the hotpatch image; default: beside the others. */
  readonly dllBase?: bigint;
}
