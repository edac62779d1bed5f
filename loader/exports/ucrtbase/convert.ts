import type { ServiceCall, SimulatedExport } from '../../dispatch/index.js';
import type { ServiceResult } from '../../threads/index.js';
import { cdecl, double, single, wide } from '../simulated-export.js';
import { parseFloatLiteral, roundLiteral } from '../text/decimal.js';
import { ERRNO, invalidParameter, setErrno } from './state.js';
import type { Unit } from './string.js';

const SPACES = /^[ \t-\r]*/;

const textOf = ({ memory }: ServiceCall, at: bigint, unit: Unit): string =>
  unit === 1 ? memory.readCString(at) : memory.readUtf16(at);

interface ParsedInteger {
  readonly value: bigint;
  /** Characters that belong to it, with the spaces before; 0 when there is none. */
  readonly length: number;
}

/** As strtol takes it: spaces, sign, prefix of the base. */
export function parseInteger(text: string, base: number): ParsedInteger {
  const spaces = SPACES.exec(text)?.[0].length ?? 0;
  let at = spaces;
  const negative = text[at] === '-';
  if (negative || text[at] === '+') at += 1;
  let radix = base;
  const isHex = /^0[xX][\da-fA-F]/.test(text.slice(at, at + 3));
  if ((radix === 0 || radix === 16) && isHex) {
    radix = 16;
    at += 2;
  } else if (radix === 0) radix = text[at] === '0' ? 8 : 10;
  let value = 0n;
  const first = at;
  for (; at < text.length; at++) {
    const digit = digitOf(text.charCodeAt(at));
    if (digit >= radix) break;
    value = value * BigInt(radix) + BigInt(digit);
  }
  if (at === first) return { value: 0n, length: 0 };
  return { value: negative ? -value : value, length: at };
}

function digitOf(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x7a ? letter - 0x61 + 10 : 99;
}

/** Limits: unsigned ones take a minus sign, and wrap. */
function clamp(value: bigint, bits: number, signed: boolean): { value: bigint; outOfRange: boolean } {
  const one = 1n << BigInt(bits - (signed ? 1 : 0));
  if (signed) {
    if (value >= one) return { value: one - 1n, outOfRange: true };
    if (value < -one) return { value: -one, outOfRange: true };
    return { value, outOfRange: false };
  }
  if (value >= one || value <= -one) return { value: one - 1n, outOfRange: true };
  return { value: BigInt.asUintN(bits, value), outOfRange: false };
}

function integer(
  call: ServiceCall,
  name: string,
  arguments_: { text: bigint; end: bigint; base: number },
  { unit, bits, signed }: { unit: Unit; bits: 32 | 64; signed: boolean },
): ServiceResult {
  const { text, end, base } = arguments_;
  if (text === 0n || base < 0 || base === 1 || base > 36) {
    if (end !== 0n) call.memory.writePointer(end, text);
    return invalidParameter(call, name, 0n);
  }
  const parsed = parseInteger(textOf(call, text, unit), base);
  const { value, outOfRange } = clamp(parsed.value, bits, signed);
  if (end !== 0n) call.memory.writePointer(end, text + BigInt(parsed.length * unit));
  if (outOfRange) setErrno(call, ERRNO.ERANGE);
  return bits === 64 ? wide(value) : BigInt.asUintN(32, value);
}

function floating(
  call: ServiceCall,
  text: bigint,
  end: bigint,
  unit: Unit,
  size: 'single' | 'double',
): number {
  const all = textOf(call, text, unit);
  const spaces = SPACES.exec(all)?.[0].length ?? 0;
  const parsed = parseFloatLiteral(all.slice(spaces));
  const length = parsed === undefined ? 0 : spaces + parsed.length;
  if (end !== 0n) call.memory.writePointer(end, text + BigInt(length * unit));
  if (parsed === undefined) return 0;
  if (parsed.kind !== 'number') {
    if (parsed.kind === 'nan') return Number.NaN;
    return parsed.negative ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }
  const { value, outOfRange } = roundLiteral(parsed.literal, size);
  if (outOfRange) setErrno(call, ERRNO.ERANGE);
  return value;
}

const INTEGERS = [
  ['strtol', 'wcstol', 32, true],
  ['strtoul', 'wcstoul', 32, false],
  ['strtoll', 'wcstoll', 64, true],
  ['strtoull', 'wcstoull', 64, false],
  ['_strtoi64', '_wcstoi64', 64, true],
  ['_strtoui64', '_wcstoui64', 64, false],
  ['strtoimax', 'wcstoimax', 64, true],
  ['strtoumax', 'wcstoumax', 64, false],
] as const;

const ATOI = [
  ['atoi', '_wtoi', 32],
  ['atol', '_wtol', 32],
  ['atoll', '_wtoll', 64],
  ['_atoi64', '_wtoi64', 64],
] as const;

/** Numbers from text and back (stdlib.h, locale "C"). */
export function convertExports(): SimulatedExport[] {
  const pairs = ([1, 2] as const).flatMap((unit) => {
    const pick = <T>(narrow: T, wideName: T): T => (unit === 1 ? narrow : wideName);
    return [
      ...INTEGERS.flatMap(([narrow, wideName, bits, signed]) => {
        const name = pick(narrow, wideName);
        const plain = name.replace(/^_/, '');
        return [
          cdecl(name, ['pointer', 'pointer', 'i32'], (call, text, end, base) =>
            integer(call, name, { text, end, base }, { unit, bits, signed }),
          ),
          cdecl(`_${plain}_l`, ['pointer', 'pointer', 'i32', 'pointer'], (call, text, end, base) =>
            integer(call, name, { text, end, base }, { unit, bits, signed }),
          ),
        ];
      }),
      ...ATOI.map(([narrow, wideName, bits]) =>
        cdecl(pick(narrow, wideName), ['pointer'], (call, text) =>
          integer(call, narrow, { text, end: 0n, base: 10 }, { unit, bits, signed: true }),
        ),
      ),
      ...[pick('strtod', 'wcstod'), pick('_strtod_l', '_wcstod_l'), pick('strtold', 'wcstold')].map((name) =>
        cdecl(name, ['pointer', 'pointer'], (call, text, end) =>
          double(floating(call, text, end, unit, 'double')),
        ),
      ),
      ...[pick('strtof', 'wcstof'), pick('_strtof_l', '_wcstof_l')].map((name) =>
        cdecl(name, ['pointer', 'pointer'], (call, text, end) =>
          single(floating(call, text, end, unit, 'single')),
        ),
      ),
      ...[pick('atof', '_wtof'), pick('_atof_l', '_wtof_l')].map((name) =>
        cdecl(name, ['pointer'], (call, text) => double(floating(call, text, 0n, unit, 'double'))),
      ),
      ...toText(unit),
    ];
  });
  return [
    ...pairs,
    ...['_dtest', '_fdtest'].map((name) =>
      cdecl(name, ['pointer'], ({ memory }, at) =>
        classify(name === '_dtest' ? memory.readF64(at) : memory.readF32(at), name === '_fdtest'),
      ),
    ),
    cdecl('_dclass', ['f64'], (_call, value) => classify(value, false)),
    cdecl('_fdclass', ['f32'], (_call, value) => classify(value, true)),
  ];
}

const FP = { subnormal: -2, normal: -1, zero: 0, infinite: 1, nan: 2 } as const;

/** fpclassify of math.h: FP_NORMAL and its like. */
function classify(value: number, isSingle: boolean): number {
  if (Number.isNaN(value)) return FP.nan;
  if (!Number.isFinite(value)) return FP.infinite;
  if (value === 0) return FP.zero;
  return Math.abs(value) < (isSingle ? 2 ** -126 : 2 ** -1022) ? FP.subnormal : FP.normal;
}

/** _itoa and its family; the `_s` forms know the size of the buffer. */
function toText(unit: Unit): SimulatedExport[] {
  const write = (call: ServiceCall, to: bigint, text: string): void =>
    call.memory.write(to, Buffer.from(`${text}\0`, unit === 1 ? 'latin1' : 'utf16le'));
  const make = (name: string, type: 'i32' | 'u32' | 'i64' | 'u64') => {
    const text = (value: number | bigint, radix: number): string => {
      if (radix === 10) return value.toString();
      return BigInt.asUintN(type.endsWith('64') ? 64 : 32, BigInt(value)).toString(radix);
    };
    return [
      cdecl(name, [type, 'pointer', 'i32'], (call, value, to, radix) => {
        if (radix < 2 || radix > 36) return invalidParameter(call, name, 0n);
        write(call, to, text(value, radix));
        return to;
      }),
      cdecl(`${name}_s`, [type, 'pointer', 'size', 'i32'], (call, value, to, room, radix) => {
        if (to === 0n || room === 0n || radix < 2 || radix > 36)
          return invalidParameter(call, `${name}_s`, ERRNO.EINVAL);
        const digits = text(value, radix);
        if (BigInt(digits.length) >= room) {
          write(call, to, '');
          return invalidParameter(call, `${name}_s`, ERRNO.ERANGE, ERRNO.ERANGE);
        }
        write(call, to, digits);
        return 0;
      }),
    ];
  };
  const names =
    unit === 1
      ? ['_itoa', '_ltoa', '_ultoa', '_i64toa', '_ui64toa']
      : ['_itow', '_ltow', '_ultow', '_i64tow', '_ui64tow'];
  const types = ['i32', 'i32', 'u32', 'i64', 'u64'] as const;
  return names.flatMap((name, index) => make(name, types[index] ?? 'i32'));
}
