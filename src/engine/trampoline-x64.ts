import { instructionFacts, x64Encoder, x86Encoder } from '../cpu/index.js';
import type { ReadCode, TrampolineForm } from './trampoline.js';

const SHORT_JUMP = 0xeb;
/** `EB F9`: to the jump in the padding, five bytes before the entry. */
const TO_PADDING = 0xf9;
/** A short jump this far back is taken for a hotpatch jump of some generation. */
const HOTPATCH_JUMP_MINIMUM = 0xee;
const NEAR_JUMP = 0xe9;
const PAD_JUMP_SIZE = 5;
const PADDING_BYTES = new Set([0xcc, 0x90, 0x00]);

/**
 * The current generation on x86 processors (22631 and newer): `E9 rel32` to the HPAT code slot in the five bytes before
 * the function, `EB F9` over its first two; code slot `FF 25` through the data slot, filled up with CC.
 * windows-hotpatching.md 3.2, 3.3.
 */
function currentGeneration(name: 'x64' | 'x86'): TrampolineForm {
  const encoder = name === 'x64' ? x64Encoder : x86Encoder;

  return {
    name,
    entrySize: 2,
    paddingUsed: PAD_JUMP_SIZE,
    paddingRequired: 6,
    slotFill: 0xcc,

    codeSlot(code, data) {
      const slot = encoder.fill(8);
      slot.set(encoder.jumpThroughSlot(code, data));
      return slot;
    },

    padding(entry, code) {
      const address = entry - BigInt(PAD_JUMP_SIZE);
      return { address, bytes: encoder.nearJump(address, code) };
    },

    entry: (entry) => ({ address: entry, bytes: encoder.shortJump(entry, entry - BigInt(PAD_JUMP_SIZE)) }),

    classify(read, entry, hpat) {
      const [opcode, distance] = read(entry, 2);
      if (opcode !== SHORT_JUMP || distance === undefined || distance < HOTPATCH_JUMP_MINIMUM)
        return { kind: 'unpatched' };
      if (distance !== TO_PADDING)
        return {
          kind: 'mismatch',
          reason: `the entry jumps back by ${256 - distance} bytes, not into the padding`,
        };
      const address = entry - BigInt(PAD_JUMP_SIZE);
      const padding = read(address, PAD_JUMP_SIZE);
      if (padding[0] !== NEAR_JUMP)
        return { kind: 'mismatch', reason: 'the entry jumps into the padding, where no jump is' };
      const target = encoder.branchTarget(padding, address);
      const index = target === undefined ? undefined : hpat.indexOf(target);
      return index === undefined
        ? { kind: 'mismatch', reason: 'the jump in the padding does not lead to a code slot of the HPAT' }
        : { kind: 'patched', index };
    },

    refuse(read, entry) {
      const padding = read(entry - 6n, 6);
      if (!isPadding(padding) && padding[1] !== NEAR_JUMP)
        return { rule: 'function.padding', reason: 'there are no six bytes of padding before the function' };
      const { length } = instructionFacts(name, readInstruction(read, entry), entry);
      if (length < 2)
        return { rule: 'function.firstInstruction', reason: 'the first instruction is only one byte long' };
      return undefined;
    },

    needsRendezvous: (entry) => (entry & 7n) === 7n,
  };
}

function isPadding(bytes: Uint8Array): boolean {
  return bytes.every((byte) => PADDING_BYTES.has(byte));
}

const LONGEST_INSTRUCTION = 15;

/** As many bytes of one instruction as can be read: it may be the last one of its section. */
function readInstruction(read: ReadCode, entry: bigint): Uint8Array {
  const inPage = 0x1000 - Number(entry & 0xfffn);
  return read(entry, Math.min(LONGEST_INSTRUCTION, Math.max(2, inPage)));
}

export const x64Trampoline = currentGeneration('x64');
export const x86Trampoline = currentGeneration('x86');
