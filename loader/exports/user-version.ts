import type { SimulatedExport } from '../dispatch/index.js';
import { defineExport } from './simulated-export.js';

/** The Windows that a machine claims to be: 10.0, build 22631 (Windows 11 23H2). */
const VERSION = { major: 10, minor: 0, build: 22631 } as const;
/** VER_CONDITION_MASK keeps three bits for each of the type bits (winnt.h). */
const BITS_PER_CONDITION = 3n;
const VER_MINORVERSION = 1;
const VER_MAJORVERSION = 2;
const VER_BUILDNUMBER = 4;
const ERROR_OLD_WIN_VERSION = 1150;

const CONDITIONS: Readonly<Record<number, (actual: number, wanted: number) => boolean>> = {
  1: (actual, wanted) => actual === wanted,
  2: (actual, wanted) => actual > wanted,
  3: (actual, wanted) => actual >= wanted,
  4: (actual, wanted) => actual < wanted,
  5: (actual, wanted) => actual <= wanted,
};

const bitIndex = (type: number): bigint => BigInt(Math.log2(type & -type));

/** Version checks of kernelbase.dll (winnt.h, winbase.h). Major, minor and build numbers are compared as one number, in that order. */
export function userVersion(): SimulatedExport[] {
  return [
    defineExport('VerSetConditionMask', ['u64', 'u32', 'u32'], (_call, mask, type, condition) =>
      type === 0 ? mask : mask | (BigInt(condition & 7) << (bitIndex(type) * BITS_PER_CONDITION)),
    ),
    defineExport('VerifyVersionInfoW', ['pointer', 'u32', 'u64'], (call, info, types, mask) => {
      const { memory } = call;
      const fields = [
        [VER_MAJORVERSION, VERSION.major, 4n],
        [VER_MINORVERSION, VERSION.minor, 8n],
        [VER_BUILDNUMBER, VERSION.build, 12n],
      ] as const;
      const asked = fields.filter(([type]) => (types & type) !== 0);
      const [first] = asked;
      if (first === undefined) return 1;
      const number = (value: (field: (typeof fields)[number]) => number) =>
        asked.reduce((sum, field) => sum * 0x10000 + value(field), 0);
      const actual = number(([, version]) => version);
      const wanted = number(([, , offset]) => memory.readU32(info + offset));
      const condition = Number((mask >> (bitIndex(first[0]) * BITS_PER_CONDITION)) & 7n);
      if (CONDITIONS[condition]?.(actual, wanted) === true) return 1;
      if (call.thread.teb !== undefined)
        call.process.environment?.setLastError(call.thread.teb, ERROR_OLD_WIN_VERSION);
      return 0;
    }),
  ];
}
