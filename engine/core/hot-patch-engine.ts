import type { NtStatus, PeImage, SymbolTable } from '../../image/index.js';
import type { LoadedImage } from '../../loader/index.js';
import type { EngineStep } from './steps.js';

/** Which of Windows' two hotpatch engines: that of Server 2022 and Windows 11, or that of Server 2003 SP1. */
export type EngineName = 'modern' | 'server-2003';

/**
 * `applied`: in force. `deferred`, `noTarget`: no module that it is for is loaded. `superseded`: a newer one has taken its
 * place. `reverted`, `inactive`: taken back.
 */
export type HotPatchState = 'applied' | 'deferred' | 'noTarget' | 'superseded' | 'reverted' | 'inactive';

/** One module in one address space that a hotpatch is applied to. */
export interface HotPatchPlace {
  /** The module, in its address space. */
  readonly base: LoadedImage;
  /** The hotpatch image beside it. */
  readonly loaded: LoadedImage;
  /** Functions of the base that the hotpatch covers. */
  readonly functions: number;
}

/** What both engines know of a hotpatch. */
export interface HotPatch {
  /** The engine that it was given to. */
  readonly engine: EngineName;
  /** File name of the hotpatch image. */
  readonly name: string;
  /** NT path that it was loaded from. */
  readonly path: string;
  /** The hotpatch image as a file. */
  readonly image: PeImage;
  /** Its own symbols; undefined where none were given. */
  readonly symbols: SymbolTable | undefined;
  /** Whether it is in force. */
  readonly state: HotPatchState;
  /** What its last operation ended with. */
  readonly status: NtStatus;
  /** Functions of one base that lead into it now. */
  readonly functions: number;
  /** Every module that it is applied to now, in each address space. */
  readonly places: readonly HotPatchPlace[];
}

/** How a hotpatch is loaded, by either engine. */
export interface LoadHotPatchOptions {
  /** BaseDllName of the hotpatch image; default: the file's name. */
  readonly name?: string;
  /** Symbols of the hotpatch image, for what is told and looked up. Default: what the image exports. */
  readonly symbols?: SymbolTable;
  /** NT path of the file; default: the name. */
  readonly path?: string;
}

/**
 * What both engines do: everything that only looks at hotpatches, or applies and takes them back, needs no more than
 * this. Each operation exists twice: as a generator that yields after every step, so that processors can run in between,
 * and as a call that runs it through.
 */
export interface HotPatchEngine {
  /** Which of the two it is. */
  readonly name: EngineName;
  /** Every hotpatch that was ever loaded, oldest first. */
  readonly patches: readonly HotPatch[];
  /**
   * Applies a hotpatch image wherever the module that it is for is loaded.
   * @throws HotPatchError when it is refused; the machine is then as it was before
   */
  load(image: PeImage, options?: LoadHotPatchOptions): HotPatch;
  /** {@link load}, step by step: what the generator returns is the hotpatch. */
  loadSteps(image: PeImage, options?: LoadHotPatchOptions): Generator<EngineStep, HotPatch>;
  /**
   * Takes a hotpatch back: its functions run the code again that they ran before it. The image stays mapped.
   * @throws HotPatchError when it is not in force, or when a newer one lies over it
   */
  unload(patch: HotPatch): void;
  /** {@link unload}, step by step. */
  unloadSteps(patch: HotPatch): Generator<EngineStep, void>;
  /** The hotpatch image that functions of this base lead into now. */
  patchOf(base: LoadedImage): LoadedImage | undefined;
}
