import type { ArchitectureName } from '../../cpu/index.js';
import type { FileSystem, Kernel, LoadedImage } from '../../loader/index.js';
import type { EngineStep, Operation } from '../core/index.js';
import type { HotPatch2003Options } from './options.js';
import type { Patch2003, PatchList } from './patch.js';

/** What the steps of one transaction work with. */
export interface ApplyContext {
  readonly operation: Operation;
  readonly options: HotPatch2003Options;
  readonly lists: PatchList;
  readonly host: Server2003Host | undefined;
  /** The operation cannot be given up any more: what is known of its hotpatch follows what is in memory. */
  settled(): void;
}

/** The system that the engine is a part of, as far as a request can concern it. */
export interface Server2003Host {
  /** Files of hotpatches and coldpatches. */
  readonly disk: FileSystem;
  /** RELOAD_NTDLL: makes later processes use the ntdll that is on disk now. */
  reloadNtdll?(): void;
  /** A hotpatch image was mapped from the file at an NT path. */
  mapped?(path: string, image: LoadedImage): void;
}

/** What system services and injected routines ask of the engine. */
export interface EngineServices {
  readonly kernel: Kernel;
  readonly host: Server2003Host | undefined;
  /** The hotpatch file at an NT path, for a caller of this processor. @throws HotPatchError when it is no valid hotpatch */
  openPatch(path: string, caller?: ArchitectureName): Patch2003 | undefined;
  /** Modules that the hotpatch is for, in every address space. @throws HotPatchError when they are another build's */
  targetsOf(patch: Patch2003): LoadedImage[];
  /** One target alone, as a request of its own process asks: apply it, enable it, or disable it. */
  patchOne(patch: Patch2003, target: LoadedImage, active: boolean): void;
  /** Several targets, all of them or none: kernel space at once, processes by the routine that is injected into them. */
  patchEach(patch: Patch2003, targets: readonly LoadedImage[], active: boolean): void;
  /** Runs steps with a journal; when they fail, every store is taken back, last one first. */
  transaction<T>(
    name: string,
    steps: (context: ApplyContext) => Generator<EngineStep, T>,
  ): Generator<EngineStep, T>;
}
