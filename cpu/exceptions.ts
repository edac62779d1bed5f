import type { AddressSpace } from './address-space.js';
import type { ExceptionName, Exit } from './exit.js';

/** What an exception turns out to be, without the count. `advanced`: pc is behind the instruction, which counts as completed. */
export interface Delivery {
  readonly exit: ExitWithoutCount;
  readonly advanced: boolean;
}

type WithoutCount<T> = T extends unknown ? Omit<T, 'instructions'> : never;
export type ExitWithoutCount = WithoutCount<Exit>;

/** The moment of an exception. */
export interface Moment {
  readonly space: AddressSpace;
  readonly pc: bigint;
  register(name: string): bigint;
  /** Whether the processor itself raised the exception (as opposed to an int instruction with the same number). */
  readonly isHardware: boolean;
}

/** Intel SDM vol. 3, "Exception and Interrupt Vectors"; 0x29–0x2e are Windows' own. */
const X86_VECTORS: Readonly<Record<number, ExceptionName>> = {
  0: 'divideError',
  1: 'debug',
  3: 'breakpoint',
  4: 'overflow',
  5: 'boundRange',
  6: 'invalidOpcode',
  7: 'deviceNotAvailable',
  8: 'doubleFault',
  11: 'segmentNotPresent',
  12: 'stackSegment',
  13: 'generalProtection',
  16: 'floatingPoint',
  17: 'alignmentCheck',
  19: 'simdFloatingPoint',
  41: 'fastFail',
  44: 'assertion',
  45: 'debugService',
};

const INT = 0xcd;
/** Instructions of one byte that raise a vector of their own behind them: int1, int3, into (Intel SDM vol. 2). */
const ONE_BYTE: Readonly<Record<number, number>> = { 1: 0xf1, 3: 0xcc, 4: 0xce };
const SYSTEM_SERVICE = 0x2e;
const FAST_FAIL = 0x29;

export function x86Exception(vector: number, moment: Moment): Delivery {
  const { pc } = moment;
  const length = moment.isHardware ? 0 : softwareInterruptLength(vector, moment);
  const instruction = pc - BigInt(length);
  if (vector === SYSTEM_SERVICE && length > 0) {
    const number = Number(moment.register('rax') & 0xffff_ffffn);
    return { exit: { reason: 'systemCall', number, instruction, via: 'int' }, advanced: true };
  }
  const name = X86_VECTORS[vector] ?? 'interrupt';
  const code = vector === FAST_FAIL ? { code: Number(moment.register('rcx') & 0xffff_ffffn) } : {};
  return {
    exit: { reason: 'exception', name, vector, instruction, ...code },
    advanced: length > 0,
  };
}

/** Length of the int instruction that ends at pc, 0 if there is none. */
function softwareInterruptLength(vector: number, { space, pc }: Moment): number {
  const before = (distance: bigint): number => {
    try {
      return space.readU8(pc - distance);
    } catch {
      return -1;
    }
  };
  if (before(1n) === ONE_BYTE[vector]) return 1;
  return before(2n) === INT && before(1n) === vector ? 2 : 0;
}

/** Unicorn's numbers of Arm exceptions (QEMU target/arm, EXCP_*). */
const EXCP_UDEF = 1;
const EXCP_SWI = 2;
const EXCP_DATA_ABORT = 4;
const EXCP_BKPT = 7;
const EXCP_SMC = 13;

/** Immediates of brk on Windows (winnt.h: __debugbreak, __fastfail and friends). */
const BRK_NAMES: Readonly<Record<number, ExceptionName>> = {
  61440: 'breakpoint',
  61441: 'assertion',
  61442: 'debugService',
  61443: 'fastFail',
  61444: 'divideError',
};

export function arm64Exception(vector: number, moment: Moment): Delivery {
  const { pc, space } = moment;
  const immediate = (at: bigint): number => (space.readU32(at) >>> 5) & 0xffff;
  switch (vector) {
    case EXCP_SWI: {
      const instruction = pc - 4n;
      return {
        exit: { reason: 'systemCall', number: immediate(instruction), instruction, via: 'svc' },
        advanced: true,
      };
    }
    case EXCP_SMC:
      return {
        exit: {
          reason: 'exception',
          name: 'secureMonitorCall',
          vector,
          instruction: pc - 4n,
          code: immediate(pc - 4n),
        },
        advanced: true,
      };
    case EXCP_BKPT: {
      const number = immediate(pc);
      const name = BRK_NAMES[number] ?? 'breakpoint';
      const code = name === 'fastFail' ? Number(moment.register('x0') & 0xffff_ffffn) : number;
      return { exit: { reason: 'exception', name, vector, instruction: pc, code }, advanced: false };
    }
    case EXCP_UDEF:
      return {
        exit: { reason: 'exception', name: 'invalidOpcode', vector, instruction: pc },
        advanced: false,
      };
    case EXCP_DATA_ABORT:
      return {
        exit: { reason: 'exception', name: 'alignmentCheck', vector, instruction: pc },
        advanced: false,
      };
    default:
      return { exit: { reason: 'exception', name: 'interrupt', vector, instruction: pc }, advanced: false };
  }
}
