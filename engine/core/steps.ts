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
    /** One store of the engine into an image or its HPAT. */
    store: {
      /** What part of the redirection it is. */
      readonly target: StoreTarget;
      /** Who stores. */
      readonly writer: Writer;
      /** Name of the domain that is stored into: `system`, `session 1`, `mail.exe (12)`. */
      readonly place: string;
      /** First byte that is stored to. */
      readonly address: bigint;
      /** The bytes that were there. */
      readonly before: Uint8Array;
      /** The bytes that are there now. */
      readonly bytes: Uint8Array;
      /** `demo!dispatch` */
      readonly symbol: string;
      /** It was left to whether a thread stood in one of these: otherwise it would not have been done. */
      readonly unlessOccupied?: readonly Occupation[] | undefined;
    };
    /** The undo table has the original bytes of the function at `rva` in entry `index`. */
    undoEntrySaved: { readonly index: number; readonly rva: number };
    /** Entry `index` of the undo table, of the function at `rva`, is free again. */
    undoEntryCleared: { readonly index: number; readonly rva: number };
    /** Marks the stretch in which the processors are held. */
    rendezvous: { readonly phase: 'begin' | 'end' };
    /** `ifRestored`: it was done because a store before it was not left out. */
    serialised: { readonly ifRestored?: true };
    /** The callout of the hotpatch image was called, in `phase`, and returned `status` (NTSTATUS, unsigned). */
    callout: {
      readonly phase: CalloutPhase;
      readonly status: number;
      /** It did not return: an exception that nobody handled. */
      readonly crash?: Crash;
    };
    /** `valid` functions of `image` are call targets of Control Flow Guard. */
    callTargetsSet: { readonly image: string; readonly valid: number };
    // Told by the modern engine.
    /** A hotpatch is in force in one place. */
    applied: NoFacts;
    /** A hotpatch is about to be applied to one base. */
    applyBegun: NoFacts;
    /** The callout of a user image failed: its process ended with FAST_FAIL_PATCH_CALLBACK_FAILED. */
    fastFail: NoFacts;
    /** No loaded image is the base of a hotpatch: it waits for one. */
    patchDeferred: NoFacts;
    /** A hotpatch is no longer registered. */
    patchForgotten: NoFacts;
    /** A hotpatch of this sequence number is registered already. */
    patchIgnored: NoFacts;
    /** A hotpatch image that is not in force any more stays mapped: something still leads into it. */
    patchImageHeld: NoFacts;
    /** The module that a hotpatch is for is not loaded anywhere. */
    patchWithoutTarget: NoFacts;
    /** A hotpatch is about to be taken back. */
    revertBegun: NoFacts;
    /** A base runs its original code again, or that of the hotpatch before. */
    reverted: NoFacts;
    /** The Secure Kernel has told that the base is an image of its own. */
    secureImageFound: NoFacts;
    /** The HotPatch process attaches to a session. */
    sessionAttached: NoFacts;
    /** An image was loaded whose hotpatch could not be applied: it goes on unpatched. */
    lateBaseFailed: NoFacts;
    /** A hotpatch that was registered for the boot is refused. */
    bootPatchRefused: NoFacts;
    // Told by the engine of Server 2003. `applied` and `inactive` are states of a hotpatch.
    /** The bytes of one hook stay when a hotpatch is disabled: a thread stands in them. */
    hookLeft: NoFacts;
    /** A hotfix is started, with its command line. */
    hotfix: NoFacts;
    /** A hotfix has ended, and whether it wants a reboot. */
    hotfixDone: NoFacts;
    /** A hotpatch is disabled in one place. */
    inactive: NoFacts;
    /** MmHotPatchRoutine takes a hotpatch for a module in kernel space. */
    kernelPath: NoFacts;
    /** A hotpatch has no module that it is for. */
    noTarget: NoFacts;
    /** The kernel maps the new ntdll for processes that start from now on. */
    ntdllReloaded: NoFacts;
    /** The bytes of the hooks are about to be swapped. */
    swapBegun: NoFacts;
    /** A system service is called for a hotpatch, or has returned. */
    systemCall: NoFacts;
    /** A thread is injected into a process, where it runs ntdll's LdrHotPatchRoutine. */
    threadInjected: NoFacts;
    /** A hotpatch fits its target: validations, fixups and hooks are counted. */
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

/** A step that stores. */
export type StoreStep = LabEventOf<'store'>;
