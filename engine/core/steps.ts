import type { Crash, LabEvent } from '../../loader/index.js';

/** What a store changes. */
export type StoreTarget = 'dataSlot' | 'codeSlot' | 'padding' | 'entry' | 'pointer' | 'relative' | 'value';

/** Who performs it: the Secure Kernel changes code, NT changes data; in user images NT does both, through an alias. */
export type Writer = 'SecureKernel' | 'NT';

/** `__PatchMainCallout__`: 0 after backward and before forward application, 1 after forward, 2 when forward failed. */
export type CalloutPhase = 0 | 1 | 2;

/**
 * One step of a patch, already performed when it is yielded. Between two steps every processor may run; a step itself
 * is indivisible. `rendezvous` steps mark the stretch in which the processors are held.
 */
export type EngineStep = LabEvent &
  (
    | { readonly kind: 'hpatCommitted'; readonly image: string }
    | {
        readonly kind: 'store';
        readonly target: StoreTarget;
        readonly writer: Writer;
        readonly address: bigint;
        readonly before: Uint8Array;
        readonly bytes: Uint8Array;
        /** `demo!dispatch` */
        readonly symbol: string;
        /** It was left to whether a thread stood here: otherwise it would not have been done. */
        readonly unlessOccupied?: { readonly start: bigint; readonly end: bigint } | undefined;
      }
    | { readonly kind: 'undoEntrySaved'; readonly index: number; readonly rva: number }
    | { readonly kind: 'undoEntryCleared'; readonly index: number; readonly rva: number }
    | { readonly kind: 'rendezvous'; readonly phase: 'begin' | 'end' }
    | { readonly kind: 'serialised' }
    | {
        readonly kind: 'callout';
        readonly phase: CalloutPhase;
        readonly status: number;
        /** It did not return: an exception that nobody handled. */
        readonly crash?: Crash;
      }
    | { readonly kind: 'callTargetsSet'; readonly image: string; readonly valid: number }
  );

export type StoreStep = Extract<EngineStep, { kind: 'store' }>;
