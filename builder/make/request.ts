import type { ImageArchitecture } from '../../image/index.js';
import type { HotPatchAttempt } from '../build.js';
import type { BuildReport } from '../outcome.js';
import type { BuildHow } from './build-command.js';
import type { FirstChange } from './first-change.js';
import type { PatchInput } from './tree.js';

/** The steps of `makeHotPatch`, in order. */
export const MAKE_STAGES = ['base', 'fixed', 'marks'] as const;

export type MakeStage = (typeof MAKE_STAGES)[number];

export interface MakeInput {
  /** A folder with sources, or C and C++ files. It is copied, and never written to. */
  readonly source: string | readonly string[];
  /** The fix: unified diffs, applied in order. */
  readonly patches: readonly PatchInput[];
  /** Default: x64. */
  readonly architectures?: readonly ImageArchitecture[];
  /** Where base, fixed build and hotpatch are put: a folder for each architecture. */
  readonly out: string;
  /** How a folder is built; not for single files. */
  readonly how?: BuildHow;
  /** More compiler flags for everything; for single files the only ones besides -O2. */
  readonly flags?: readonly string[];
  /** Which DLLs, libraries or programs of several; objects of several become one image. */
  readonly products?: readonly string[];
  /** Name of the image; default: the product's, `.dll` or `.sys`. */
  readonly image?: string;
  readonly isDriver?: boolean;
  /** Functions to export; default: what the program says, else all. */
  readonly exports?: readonly string[];
  /** C files of one's own, linked into base and fix: functions to call. Compiled with the include paths and defines of the first source. */
  readonly harness?: readonly string[];
  /** Functions that were meant to change. One that exists nowhere is an error. */
  readonly functions?: readonly string[];
  /** Refusals to turn into warnings, where the rule permits it. */
  readonly allow?: readonly string[];
  readonly sequenceNumber?: number;
  /** A Windows SDK, instead of mingw-w64's headers. */
  readonly sysroot?: string;
  /** Default: $HOTPATCH_CACHE, else hotpatch-lab in the user's cache. */
  readonly cache?: string;
  /**
   * `base`: build it although it is in the cache. `fixed`, `marks`: start there with the base, and with the fixed objects,
   * of an earlier run with `keepWork`, whatever has become of source and patch since.
   */
  readonly from?: MakeStage;
  /** Keep objects, logs and link folders in `out/work`. */
  readonly keepWork?: boolean;
  /** Processes at a time. */
  readonly jobs?: number;
  readonly onProgress?: (progress: MakeProgress) => void;
  /** Called with the path of each image that is whole. */
  readonly onWritten?: (path: string) => void;
}

export interface MakeProgress {
  readonly architecture: ImageArchitecture;
  readonly stage: MakeStage;
  readonly text: string;
}

/** An object that was compiled for hotpatching. */
export interface MarkedObject {
  /** As the base's and the patch's symbols call it. */
  readonly object: string;
  readonly source: string;
  /** IR names that were in its list. */
  readonly functions: readonly string[];
}

export interface MadeHotPatch {
  readonly architecture: ImageArchitecture;
  readonly verdict: 'patched' | 'refused';
  /** Paths of the images; symbols lie beside each. */
  readonly base: string;
  readonly fixed: string;
  readonly hotPatch?: string;
  readonly baseWasCached: boolean;
  /** Objects that the patch changes, as their sources are called. */
  readonly changedSources: readonly string[];
  readonly marked: readonly MarkedObject[];
  /** `__ref_` symbols that several objects had. */
  readonly renamedReferences: readonly string[];
  /** Functions that no simulated DLL has: a call of one ends the calling thread with an error. */
  readonly missingImports: readonly string[];
  readonly rounds: number;
  readonly report: BuildReport;
  readonly functions: HotPatchAttempt['functions'];
  /** The first instruction of each changed function that differs. */
  readonly firstChanges: readonly FirstChange[];
  readonly sizes: { readonly base: number; readonly hotPatch?: number };
  /** Host milliseconds of each stage. */
  readonly milliseconds: Readonly<Partial<Record<MakeStage, number>>>;
}

/** A base that was built alone. */
export interface MadeBase {
  readonly architecture: ImageArchitecture;
  /** Path of the image; symbols lie beside it. */
  readonly base: string;
  readonly baseWasCached: boolean;
  readonly exports: readonly string[];
}

export interface MakeResult {
  readonly patchedFiles: readonly string[];
  readonly architectures: readonly MadeHotPatch[];
}
