import type { HotPatchAddressTable } from '../loader/index.js';

/** One store of a trampoline. */
export interface TrampolineStore {
  readonly address: bigint;
  readonly bytes: Uint8Array;
}

/** What is at a function's entry now. */
export type EntryState =
  | { readonly kind: 'unpatched' }
  /** It leads to the code slot with this index of the HPAT. */
  | { readonly kind: 'patched'; readonly index: number }
  /** It looks like a hotpatch jump, but is not one of ours. */
  | { readonly kind: 'mismatch'; readonly reason: string };

export type ReadCode = (address: bigint, length: number) => Uint8Array;

/**
 * The form in which an entry is redirected: which bytes go into the HPAT's slots, into the padding before the function
 * and over its first instruction. One implementation for each processor and generation of the engine.
 */
export interface TrampolineForm {
  readonly name: string;
  /** Bytes at the entry that are replaced, by one store. */
  readonly entrySize: number;
  /** Bytes of padding before the entry that the form writes; 0 when it needs none. */
  readonly paddingUsed: number;
  /** Bytes of padding that must be there. */
  readonly paddingRequired: number;
  /** What the code slots hold before they are used. */
  readonly slotFill: number;
  /** The eight bytes of a code slot that jumps through the data slot behind it. */
  codeSlot(code: bigint, data: bigint): Uint8Array;
  /** The jump in the padding that reaches the code slot; undefined for a form without one. */
  padding(entry: bigint, code: bigint): TrampolineStore | undefined;
  /** The one store that makes it live. */
  entry(entry: bigint, code: bigint): TrampolineStore;
  /** Reads the entry and recognises a redirection through `hpat`. */
  classify(read: ReadCode, entry: bigint, hpat: HotPatchAddressTable): EntryState;
  /** Why the function cannot carry this trampoline, or undefined. Called for unpatched functions only. */
  refuse(read: ReadCode, entry: bigint): { rule: string; reason: string } | undefined;
  /** Could the entry's store straddle 8 bytes, so that all processors must be gathered? (`(f & 7) == 7`) */
  needsRendezvous(entry: bigint): boolean;
}
