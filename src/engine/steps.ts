import type { LabEvent } from '../loader/index.js';

/** Which kind of memory a store changes. */
export type StoreTarget = 'dataSlot' | 'codeSlot' | 'padding' | 'entry' | 'pointer';

/** Who performs it: the Secure Kernel changes code, NT changes data. */
export type Writer = 'SecureKernel' | 'NT';

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
      }
    | { readonly kind: 'undoEntrySaved'; readonly index: number; readonly rva: number }
    | { readonly kind: 'undoEntryCleared'; readonly index: number; readonly rva: number }
    | { readonly kind: 'rendezvous'; readonly phase: 'begin' | 'end' }
    | { readonly kind: 'serialised' }
  );

export type StoreStep = Extract<EngineStep, { kind: 'store' }>;
