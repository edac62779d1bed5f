import type { Processor } from '../processor.js';
import type { Emulation, Emulator, Moment } from './emulation.js';

/**
 * System registers that show the host's clock or its source of random numbers (Arm ARM, D17: CNTPCT_EL0, CNTVCT_EL0,
 * the timers' values and states, PMCCNTR_EL0, RNDR, RNDRRS), as the word of `mrs x0, register`.
 */
const REGISTERS: ReadonlyMap<number, (moment: Moment) => bigint> = new Map([
  [0xd53be020, ({ time }: Moment) => time], // CNTPCT_EL0
  [0xd53be040, ({ time }: Moment) => time], // CNTVCT_EL0
  [0xd53be0a0, ({ time }: Moment) => time], // CNTPCTSS_EL0
  [0xd53be0c0, ({ time }: Moment) => time], // CNTVCTSS_EL0
  [0xd53b9d00, ({ time }: Moment) => time], // PMCCNTR_EL0
  [0xd53be200, ({ time }: Moment) => BigInt.asUintN(32, -time)], // CNTP_TVAL_EL0
  [0xd53be300, ({ time }: Moment) => BigInt.asUintN(32, -time)], // CNTV_TVAL_EL0
  [0xd53be220, () => 0n], // CNTP_CTL_EL0: off
  [0xd53be320, () => 0n], // CNTV_CTL_EL0: off
  [0xd53b2400, ({ random }: Moment) => random()], // RNDR
  [0xd53b2420, ({ random }: Moment) => random()], // RNDRRS
]);
const RANDOM: ReadonlySet<number> = new Set([0xd53b2400, 0xd53b2420]);

const REGISTER_MASK = 0xffffffe0;
const wordAt = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] ?? 0) |
    ((bytes[at + 1] ?? 0) << 8) |
    ((bytes[at + 2] ?? 0) << 16) |
    ((bytes[at + 3] ?? 0) << 24)) >>>
  0;

function emulationOf(word: number): Emulation | undefined {
  const register = (word & REGISTER_MASK) >>> 0;
  const value = REGISTERS.get(register);
  if (value === undefined) return undefined;
  return {
    length: 4,
    perform(moment) {
      const { processor } = moment;
      const target = word & 0x1f;
      if (target !== 31) processor.set(`x${target}`, value(moment));
      // RNDR tells by the flags whether there was a number: there always is.
      if (RANDOM.has(register)) processor.set('nzcv', 0n);
      return undefined;
    },
  };
}

export const arm64Emulator: Emulator = {
  isSuspect(bytes) {
    for (let at = 0; at + 4 <= bytes.byteLength; at += 4) {
      if (bytes[at + 3] === 0xd5 && bytes[at + 2] === 0x3b) return true;
    }
    return false;
  },
  find(_processor: Processor, bytes: Uint8Array): number[] {
    const offsets: number[] = [];
    for (let at = 0; at + 4 <= bytes.byteLength; at += 4) {
      if (REGISTERS.has((wordAt(bytes, at) & REGISTER_MASK) >>> 0)) offsets.push(at);
    }
    return offsets;
  },
  of: (_processor, bytes) => emulationOf(wordAt(bytes, 0)),
};
