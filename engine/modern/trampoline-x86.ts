import { type X86Encoder, x64Encoder, x86Encoder } from '../../cpu/index.js';
import type { HotPatchAddressTable } from '../../loader/index.js';
import {
  pointerBytes,
  type ReadCode,
  requireCodeSlot,
  type TrampolineForm,
  type TrampolineRequest,
  type TrampolineStore,
} from './trampoline.js';

const SHORT_JUMP = 0xeb;
/** A short jump that goes back this far or less is taken for a hotpatch jump, of either layout. */
const HOTPATCH_JUMP_MINIMUM = 0xee;

type CodeSlot = (code: bigint, request: TrampolineRequest) => Uint8Array;

interface Variant {
  readonly name: string;
  /** Bytes of the jump in the padding, and so how far back the short jump at the entry goes. */
  readonly paddingUsed: number;
  /** Undefined: the HPAT has no code slots. */
  readonly codeSlot?: CodeSlot;
  padding(address: bigint, request: TrampolineRequest): Uint8Array;
  /** The slot that the jump in the padding leads to. */
  slotOf(padding: Uint8Array, address: bigint, hpat: HotPatchAddressTable): number | undefined;
}

/**
 * A form of x86 processors: a jump in the padding before the function, and a short jump of two bytes over its first
 * instruction that goes back to it. docs/fidelity.md#hpat-and-trampolines.
 */
function x86Form(variant: Variant): TrampolineForm {
  const { paddingUsed } = variant;
  const back = BigInt(paddingUsed);
  const toPadding = 0x100 - paddingUsed - 2;
  const slotBefore = (read: ReadCode, entry: bigint, hpat: HotPatchAddressTable) =>
    variant.slotOf(read(entry - back, paddingUsed), entry - back, hpat);

  return {
    name: variant.name,
    entrySize: 2,
    paddingUsed,
    slotFill: 0xcc,

    build(request) {
      const { entry, target, hpat, index } = request;
      const address = entry - back;
      return {
        data: { address: hpat.dataSlot(index), bytes: pointerBytes(target) },
        ...(variant.codeSlot === undefined ? {} : { code: codeStore(request, variant.codeSlot) }),
        padding: { address, bytes: variant.padding(address, request) },
        entry: { address: entry, bytes: Uint8Array.of(SHORT_JUMP, toPadding) },
      };
    },

    classify(read, entry, hpat) {
      const [opcode, distance = 0] = read(entry, 2);
      if (opcode !== SHORT_JUMP || distance < HOTPATCH_JUMP_MINIMUM) return { kind: 'unpatched' };
      if (distance !== toPadding)
        return {
          kind: 'mismatch',
          reason: `the entry jumps back by ${0x100 - distance - 2} bytes, where no jump of this engine is`,
        };
      const index = slotBefore(read, entry, hpat);
      return index === undefined
        ? { kind: 'mismatch', reason: 'the entry jumps into the padding, but from there not into the HPAT' }
        : { kind: 'patched', index };
    },

    // A thread may have stood in the jump of a patch that was taken back: then it is there still.
    hasLeftJump: (read, entry, hpat) => slotBefore(read, entry, hpat) !== undefined,

    needsRendezvous: (entry) => (entry & 7n) === 7n,
  };
}

/** A code slot: `code`, filled up with INT 3 to eight bytes. */
function slot(code: Uint8Array): Uint8Array {
  const bytes = x64Encoder.fill(8);
  bytes.set(code);
  return bytes;
}

function codeStore(request: TrampolineRequest, encode: CodeSlot): TrampolineStore {
  const address = requireCodeSlot(request);
  return { address, bytes: encode(address, request) };
}

/** 22631 and newer: `E9 rel32` to the code slot, `EB F9` at the entry; the code slot is `FF 25` through the data slot. */
function pairsTrampoline(processor: 'x64' | 'x86', encoder: X86Encoder): TrampolineForm {
  return x86Form({
    name: processor,
    paddingUsed: 5,
    codeSlot: (code, { hpat, index }) => slot(encoder.jumpThroughSlot(code, hpat.dataSlot(index))),
    padding: (address, request) => encoder.nearJump(address, requireCodeSlot(request)),
    slotOf: (padding, address, hpat) => {
      const branch = encoder.decode(padding, address);
      return branch?.form === 'nearJump' ? hpat.indexOf(branch.target) : undefined;
    },
  });
}

export const x64Trampoline = pairsTrampoline('x64', x64Encoder);
export const x86Trampoline = pairsTrampoline('x86', x86Encoder);

/** Up to about 19041: `FF 25` in all six bytes of padding, straight through the pointer; `EB F8` at the entry. */
export const x64EarlierTrampoline = x86Form({
  name: 'x64 pointers',
  paddingUsed: 6,
  padding: (address, { hpat, index }) => x64Encoder.jumpThroughSlot(address, hpat.dataSlot(index)),
  slotOf: (padding, address, hpat) => {
    const branch = x64Encoder.decode(padding, address);
    return branch?.form === 'jumpThroughSlot' ? hpat.indexOf(branch.slot) : undefined;
  },
});

/**
 * With retpoline the code slot is `E8 rel32` to `__guard_retpoline_jump_hpat` in the image's retpoline page, which
 * finds the data slot at return address + 0xFFB and goes on without an indirect branch that could be mistrained.
 */
export const x64RetpolineTrampoline = x86Form({
  name: 'x64 retpoline',
  paddingUsed: 5,
  codeSlot: (code, { jumpHpat }) => {
    if (jumpHpat === undefined) throw new Error('the image has no retpoline page');
    return slot(x64Encoder.call(code, jumpHpat));
  },
  padding: (address, request) => x64Encoder.nearJump(address, requireCodeSlot(request)),
  slotOf: (padding, address, hpat) => {
    const branch = x64Encoder.decode(padding, address);
    return branch?.form === 'nearJump' ? hpat.indexOf(branch.target) : undefined;
  },
});
