import type { HotPatchAddressTable } from '../../loader/index.js';

/** One store of a trampoline. */
export interface TrampolineStore {
  readonly address: bigint;
  readonly bytes: Uint8Array;
}

/** Everything that redirects one function for the first time, in the order of the stores. */
export interface Trampoline {
  /** The HPAT data slot: the pointer to the target. Later patches of the function write nothing else. */
  readonly data: TrampolineStore;
  /** The HPAT code slot that jumps through the data slot; the layout `pointers` has none. */
  readonly code?: TrampolineStore;
  /** The jump in the padding before the function; ARM64 needs none. */
  readonly padding?: TrampolineStore;
  /** The one store that makes it live. */
  readonly entry: TrampolineStore;
}

/** What is at a function's entry now. */
export type EntryState =
  | { readonly kind: 'unpatched' }
  /** It leads to the slot with this index of the HPAT. */
  | { readonly kind: 'patched'; readonly index: number }
  /** It looks like a hotpatch jump, but is not one of ours. */
  | { readonly kind: 'mismatch'; readonly reason: string };

export type ReadCode = (address: bigint, length: number) => Uint8Array;

export interface TrampolineRequest {
  readonly entry: bigint;
  readonly target: bigint;
  readonly hpat: HotPatchAddressTable;
  readonly index: number;
  /** `__guard_retpoline_jump_hpat` of the image's retpoline page, in a system with retpoline. */
  readonly jumpHpat?: bigint | undefined;
}

/**
 * The form in which an entry is redirected: which bytes go into the HPAT's slots, into the padding before the function
 * and over its first instruction. One implementation for each processor and layout of the HPAT.
 */
export interface TrampolineForm {
  readonly name: string;
  /** Bytes at the entry that are replaced, by one store. */
  readonly entrySize: number;
  /** Bytes of padding before the entry that the form writes; 0 when it needs none. */
  readonly paddingUsed: number;
  /** What the code slots hold before they are used. */
  readonly slotFill: number;
  /** @throws CpuError `branchOutOfRange` when a jump cannot reach */
  build(request: TrampolineRequest): Trampoline;
  /** Reads the entry and recognises a redirection through `hpat`. */
  classify(read: ReadCode, entry: bigint, hpat: HotPatchAddressTable): EntryState;
  /** Is there, before an entry that is not patched, still the jump of a patch that was taken back? */
  hasLeftJump(read: ReadCode, entry: bigint, hpat: HotPatchAddressTable): boolean;
  /** Could the entry's store be seen in halves, so that all processors must be gathered? */
  needsRendezvous(entry: bigint): boolean;
}

/** The pointer as a slot holds it: always written as eight bytes, on x86 too (docs/fidelity.md#hpat-and-trampolines). */
export function pointerBytes(address: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, address, true);
  return bytes;
}

/** @throws Error in an HPAT of the layout `pointers`, which has nothing else */
export function requireCodeSlot({ hpat, index }: TrampolineRequest): bigint {
  const code = hpat.codeSlot(index);
  if (code === undefined) throw new Error('this form needs an HPAT with code slots');
  return code;
}
