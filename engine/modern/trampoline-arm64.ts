import { arm64Encoder, CpuError, formatAddress } from '../../cpu/index.js';
import { pointerBytes, requireCodeSlot, type TrampolineForm } from './trampoline.js';

/** IP0, the scratch register of calls (AAPCS64). */
const SCRATCH = 'x16';

/**
 * ARM64, modelled at first, confirmed since (docs/fidelity.md#hpat-and-trampolines): the first instruction becomes `b` forwards to the code slot, which is
 * `ldr x16, <data slot>; br x16`. No padding is needed.
 */
export const arm64Trampoline: TrampolineForm = {
  name: 'arm64',
  entrySize: 4,
  paddingUsed: 0,
  slotFill: 0,

  build(request) {
    const { entry, target, hpat, index } = request;
    const code = requireCodeSlot(request);
    if (code <= entry)
      throw new CpuError(
        'branchOutOfRange',
        `b at ${formatAddress('arm64', entry)} to ${formatAddress('arm64', code)}: the entry lies behind the HPAT, and a hotpatch branches forwards only`,
        { address: entry, status: 'STATUS_CONFLICTING_ADDRESSES' },
      );
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
    const branch = arm64Encoder.decode(read(entry, 4), entry);
    const index = branch?.form === 'branch' ? hpat.indexOf(branch.target) : undefined;
    if (branch === undefined || index === undefined) return { kind: 'unpatched' };
    return branch.form === 'branch' && branch.target > entry
      ? { kind: 'patched', index }
      : { kind: 'mismatch', reason: 'the entry branches backwards into the HPAT, which no hotpatch does' };
  },

  hasLeftJump: () => false,

  /** Overwriting anything but the few instructions of the Arm ARM's list needs all processors gathered: docs/fidelity.md#u-2. */
  needsRendezvous: () => true,
};
