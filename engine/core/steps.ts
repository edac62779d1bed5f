import type { Crash, LabEventOf, NoFacts } from '../../loader/index.js';

/** What a store changes. */
export type StoreTarget = 'dataSlot' | 'codeSlot' | 'padding' | 'entry' | 'pointer' | 'relative' | 'value';

/** Who performs it: the Secure Kernel changes code, NT changes data; in user images NT does both, through an alias. */
export type Writer = 'SecureKernel' | 'NT';

/** `__PatchMainCallout__`: 0 after backward and before forward application, 1 after forward, 2 when forward failed. */
export type CalloutPhase = 0 | 1 | 2;

/** Addresses in the place of a store. */
export interface Occupation {
  readonly start: bigint;
  /** First address behind it. */
  readonly end: bigint;
}

declare module '../../loader/common/events.js' {
  interface LabEventFacts {
    /** The HPAT of `image` gets memory. */
    hpatCommitted: { readonly image: string };
    store: {
      readonly target: StoreTarget;
      readonly writer: Writer;
      /** Name of the domain that is stored into: `system`, `session 1`, `mail.exe (12)`. */
      readonly place: string;
      readonly address: bigint;
      readonly before: Uint8Array;
      readonly bytes: Uint8Array;
      /** `demo!dispatch` */
      readonly symbol: string;
      /** It was left to whether a thread stood in one of these: otherwise it would not have been done. */
      readonly unlessOccupied?: readonly Occupation[] | undefined;
    };
    undoEntrySaved: { readonly index: number; readonly rva: number };
    undoEntryCleared: { readonly index: number; readonly rva: number };
    /** Marks the stretch in which the processors are held. */
    rendezvous: { readonly phase: 'begin' | 'end' };
    /** `ifRestored`: it was done because a store before it was not left out. */
    serialised: { readonly ifRestored?: true };
    callout: {
      readonly phase: CalloutPhase;
      readonly status: number;
      /** It did not return: an exception that nobody handled. */
      readonly crash?: Crash;
    };
    /** `valid` functions of `image` are call targets of Control Flow Guard. */
    callTargetsSet: { readonly image: string; readonly valid: number };
    // Told by the modern engine.
    applied: NoFacts;
    applyBegun: NoFacts;
    fastFail: NoFacts;
    patchDeferred: NoFacts;
    patchForgotten: NoFacts;
    patchIgnored: NoFacts;
    patchImageHeld: NoFacts;
    patchWithoutTarget: NoFacts;
    revertBegun: NoFacts;
    reverted: NoFacts;
    secureImageFound: NoFacts;
    sessionAttached: NoFacts;
    lateBaseFailed: NoFacts;
    bootPatchRefused: NoFacts;
    // Told by the engine of Server 2003. `applied` and `inactive` are states of a hotpatch.
    hookLeft: NoFacts;
    hotfix: NoFacts;
    hotfixDone: NoFacts;
    inactive: NoFacts;
    kernelPath: NoFacts;
    noTarget: NoFacts;
    ntdllReloaded: NoFacts;
    swapBegun: NoFacts;
    systemCall: NoFacts;
    threadInjected: NoFacts;
    validated: NoFacts;
  }
}

/**
 * One step of a patch, already performed when it is yielded. Between two steps every processor may run; a step itself
 * is indivisible. `rendezvous` steps mark the stretch in which the processors are held.
 */
export type EngineStep = LabEventOf<
  | 'hpatCommitted'
  | 'store'
  | 'undoEntrySaved'
  | 'undoEntryCleared'
  | 'rendezvous'
  | 'serialised'
  | 'callout'
  | 'callTargetsSet'
>;

export type StoreStep = LabEventOf<'store'>;
