import { arm64Encoder } from '../cpu/index.js';
import { pointerBytes, type TrampolineForm } from './trampoline.js';

/** IP0, the scratch register of calls (AAPCS64). */
const SCRATCH = 'x16';

/**
 * ARM64, modelled after proposal U-1: the first instruction becomes `b` to the code slot, which is
 * `ldr x16, <data slot>; br x16`. No padding is needed.
 */
export const arm64Trampoline: TrampolineForm = {
  name: 'arm64',
  entrySize: 4,
  paddingUsed: 0,
  slotFill: 0,

  build({ entry, target, hpat, index }) {
    const code = hpat.codeSlot(index);
    if (code === undefined) throw new Error('this form needs an HPAT with code slots');
    const bytes = new Uint8Array(8);
    bytes.set(arm64Encoder.loadLiteral(SCRATCH, code, hpat.dataSlot(index)));
    bytes.set(arm64Encoder.branchRegister(SCRATCH), 4);
    return {
      data: { address: hpat.dataSlot(index), bytes: pointerBytes(target) },
      code: { address: code, bytes },
      entry: { address: entry, bytes: arm64Encoder.branch(entry, code) },
    };
  },

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
