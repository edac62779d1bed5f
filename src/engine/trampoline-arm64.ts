import { arm64Encoder } from '../cpu/index.js';
import type { TrampolineForm } from './trampoline.js';

const SCRATCH = 'x16';

/**
 * ARM64, modelled after proposal U-1: the first instruction becomes `b` to the code slot, which is
 * `ldr x16, <data slot>; br x16`. No padding is needed; x16 is the scratch register of calls (IP0).
 */
export const arm64Trampoline: TrampolineForm = {
  name: 'arm64',
  entrySize: 4,
  paddingUsed: 0,
  paddingRequired: 0,
  slotFill: 0,

  codeSlot(code, data) {
    const slot = new Uint8Array(8);
    slot.set(arm64Encoder.loadLiteral(SCRATCH, code, data));
    slot.set(arm64Encoder.branchRegister(SCRATCH), 4);
    return slot;
  },

  padding: () => undefined,

  entry: (entry, code) => ({ address: entry, bytes: arm64Encoder.branch(entry, code) }),

  classify(read, entry, hpat) {
    const target = arm64Encoder.branchTarget(read(entry, 4), entry);
    const index = target === undefined ? undefined : hpat.indexOf(target);
    return index === undefined ? { kind: 'unpatched' } : { kind: 'patched', index };
  },

  refuse: (_read, entry) =>
    (entry & 3n) === 0n
      ? undefined
      : { rule: 'function.alignment', reason: 'an ARM64 function begins at a multiple of four' },

  /** Overwriting anything but the few instructions of the Arm ARM's list needs all processors gathered: U-2. */
  needsRendezvous: () => true,
};
