import type { ServiceCall, SimulatedExport } from '../../dispatch/index.js';
import { cdecl, double, single, wide } from '../simulated-export.js';
import { ERRNO, setErrno } from './state.js';

const { abs, fround } = Math;

/** errno as math.h has it: EDOM when the arguments are outside of the domain, ERANGE when the result is too large. */
function checked(call: ServiceCall, result: number, ...given: readonly number[]): number {
  if (Number.isNaN(result) && !given.some(Number.isNaN)) setErrno(call, ERRNO.EDOM);
  else if (!Number.isFinite(result) && given.every(Number.isFinite)) setErrno(call, ERRNO.ERANGE);
  return result;
}

/** Halves to even, as the processor's default rounding has it. */
export function roundToEven(value: number): number {
  if (!Number.isFinite(value) || abs(value) >= 2 ** 52) return value;
  const floor = Math.floor(value);
  const rest = value - floor;
  const rounded = rest < 0.5 ? floor : rest > 0.5 ? floor + 1 : floor % 2 === 0 ? floor : floor + 1;
  return rounded === 0 ? (value < 0 || Object.is(value, -0) ? -0 : 0) : rounded;
}

/** Halves away from zero (C's round). */
const roundAway = (value: number): number => {
  if (!Number.isFinite(value) || abs(value) >= 2 ** 52) return value;
  const truncated = Math.trunc(value);
  const rounded = abs(value - truncated) >= 0.5 ? truncated + Math.sign(value) : truncated;
  return rounded === 0 ? (value < 0 || Object.is(value, -0) ? -0 : 0) : rounded;
};

const view = new DataView(new ArrayBuffer(8));

function nextAfter(from: number, to: number): number {
  if (Number.isNaN(from) || Number.isNaN(to)) return Number.NaN;
  if (from === to) return to;
  if (from === 0) return to > 0 ? Number.MIN_VALUE : -Number.MIN_VALUE;
  view.setFloat64(0, from);
  view.setBigInt64(0, view.getBigInt64(0) + (from < to === from > 0 ? 1n : -1n));
  return view.getFloat64(0);
}

function nextAfterSingle(from: number, to: number): number {
  if (Number.isNaN(from) || Number.isNaN(to)) return Number.NaN;
  if (from === to) return to;
  if (from === 0) return to > 0 ? 2 ** -149 : -(2 ** -149);
  view.setFloat32(0, from);
  view.setInt32(0, view.getInt32(0) + (from < to === from > 0 ? 1 : -1));
  return view.getFloat32(0);
}

/** Fraction in [0.5, 1) and power of two. */
export function split(value: number): { fraction: number; exponent: number } {
  if (value === 0 || !Number.isFinite(value)) return { fraction: value, exponent: 0 };
  const isTiny = abs(value) < 2 ** -1022;
  view.setFloat64(0, isTiny ? value * 2 ** 54 : value);
  const high = view.getUint32(0);
  const exponent = ((high >>> 20) & 0x7ff) - 1022;
  view.setUint32(0, ((high & ~(0x7ff << 20)) | (1022 << 20)) >>> 0);
  return { fraction: view.getFloat64(0), exponent: exponent - (isTiny ? 54 : 0) };
}

/** value * 2^power, rounded once. */
export function scale(value: number, power: number): number {
  if (value === 0 || !Number.isFinite(value)) return value;
  const { fraction, exponent } = split(value);
  const target = exponent + power;
  if (target > 1024) return fraction * Number.POSITIVE_INFINITY;
  if (target < -1080) return fraction < 0 ? -0 : 0;
  if (target > -1022)
    return fraction * 2 ** (target > 1000 ? 1000 : target) * 2 ** (target > 1000 ? target - 1000 : 0);
  return fraction * 2 ** -60 * 2 ** (target + 60);
}

/** x - n*y with n the nearest integer, halves to even. */
function remainder(x: number, y: number): number {
  if (Number.isNaN(x) || Number.isNaN(y) || !Number.isFinite(x) || y === 0) return Number.NaN;
  if (!Number.isFinite(y)) return x;
  const [a, b] = [abs(x), abs(y)];
  let rest = a % b;
  const isOdd = a % (2 * b) >= b;
  if (2 * rest > b || (2 * rest === b && isOdd)) rest -= b;
  return x < 0 || Object.is(x, -0) ? -rest : rest;
}

const UNARY: readonly (readonly [name: string, f: (x: number) => number])[] = [
  ['acos', Math.acos],
  ['acosh', Math.acosh],
  ['asin', Math.asin],
  ['asinh', Math.asinh],
  ['atan', Math.atan],
  ['atanh', Math.atanh],
  ['cbrt', Math.cbrt],
  ['ceil', Math.ceil],
  ['cos', Math.cos],
  ['cosh', Math.cosh],
  ['exp', Math.exp],
  ['exp2', (x) => (Number.isInteger(x) && abs(x) < 2000 ? scale(1, x) : 2 ** x)],
  ['expm1', Math.expm1],
  ['fabs', abs],
  ['floor', Math.floor],
  ['log', Math.log],
  ['log10', log10],
  ['log1p', Math.log1p],
  ['log2', log2],
  ['logb', (x) => (x === 0 ? Number.NEGATIVE_INFINITY : Number.isFinite(x) ? split(x).exponent - 1 : abs(x))],
  ['nearbyint', roundToEven],
  ['rint', roundToEven],
  ['round', roundAway],
  ['sin', Math.sin],
  ['sinh', Math.sinh],
  ['sqrt', Math.sqrt],
  ['tan', Math.tan],
  ['tanh', Math.tanh],
  ['trunc', Math.trunc],
];

/** Powers of ten exactly; others as V8 has them. */
function log10(x: number): number {
  const value = Math.log10(x);
  const nearest = Math.round(value);
  return Number.isFinite(value) && nearest >= 0 && nearest <= 22 && 10 ** nearest === x ? nearest : value;
}

function log2(x: number): number {
  const { fraction, exponent } = split(x);
  return x > 0 && fraction === 0.5 ? exponent - 1 : Math.log2(x);
}

const BINARY: readonly (readonly [name: string, f: (x: number, y: number) => number])[] = [
  ['atan2', Math.atan2],
  ['copysign', (x, y) => (Object.is(Math.sign(y), -0) || y < 0 ? -abs(x) : abs(x))],
  ['fdim', (x, y) => (Number.isNaN(x) || Number.isNaN(y) ? Number.NaN : x > y ? x - y : 0)],
  ['fmax', (x, y) => (Number.isNaN(x) ? y : Number.isNaN(y) ? x : Math.max(x, y))],
  ['fmin', (x, y) => (Number.isNaN(x) ? y : Number.isNaN(y) ? x : Math.min(x, y))],
  ['fmod', (x, y) => x % y],
  ['hypot', Math.hypot],
  ['pow', power],
  ['remainder', remainder],
];

/** C's pow: 1 to any power and any number to 0 are 1, even of NaN; (-1) to an infinity is 1. */
function power(x: number, y: number): number {
  if (x === 1 || y === 0) return 1;
  if (x === -1 && !Number.isFinite(y) && !Number.isNaN(y)) return 1;
  return x ** y;
}

/** Rounds to an integer of `bits`; what does not fit is the indefinite value, as processors give it. */
function toInteger(value: number, bits: 32 | 64): bigint {
  const least = -(2n ** BigInt(bits - 1));
  if (!Number.isFinite(value)) return least;
  const whole = BigInt(value);
  return whole < least || whole >= -least ? least : whole;
}

/** math.h in double and float. */
export function mathExports(): SimulatedExport[] {
  const integers = [
    ['rint', roundToEven],
    ['round', roundAway],
  ] as const;
  return [
    ...UNARY.flatMap(([name, f]) => [
      cdecl(name, ['f64'], (call, x) => double(checked(call, f(x), x))),
      cdecl(`${name}f`, ['f32'], (call, x) => single(checked(call, fround(f(x)), x))),
    ]),
    ...BINARY.flatMap(([name, f]) => [
      cdecl(name, ['f64', 'f64'], (call, x, y) => double(checked(call, f(x, y), x, y))),
      cdecl(`${name}f`, ['f32', 'f32'], (call, x, y) => single(checked(call, fround(f(x, y)), x, y))),
    ]),
    cdecl('_hypot', ['f64', 'f64'], (call, x, y) => double(checked(call, Math.hypot(x, y), x, y))),
    cdecl('_copysign', ['f64', 'f64'], (_call, x, y) => double(y < 0 || Object.is(y, -0) ? -abs(x) : abs(x))),
    cdecl('_chgsign', ['f64'], (_call, x) => double(-x)),
    cdecl('nextafter', ['f64', 'f64'], (_call, x, y) => double(nextAfter(x, y))),
    cdecl('_nextafter', ['f64', 'f64'], (_call, x, y) => double(nextAfter(x, y))),
    cdecl('nextafterf', ['f32', 'f32'], (_call, x, y) => single(nextAfterSingle(x, y))),
    cdecl('_finite', ['f64'], (_call, x) => (Number.isFinite(x) ? 1 : 0)),
    cdecl('_isnan', ['f64'], (_call, x) => (Number.isNaN(x) ? 1 : 0)),
    ...['ldexp', 'scalbn', 'scalbln'].flatMap((name) => [
      cdecl(name, ['f64', 'i32'], scaled64),
      cdecl(`${name}f`, ['f32', 'i32'], scaled32),
    ]),
    cdecl('frexp', ['f64', 'pointer'], (call, x, exponent) => splitTo(call, x, exponent, 'double')),
    cdecl('frexpf', ['f32', 'pointer'], (call, x, exponent) => splitTo(call, x, exponent, 'single')),
    cdecl('modf', ['f64', 'pointer'], ({ memory }, x, integer) => {
      const whole = Math.trunc(x);
      memory.writeF64(integer, whole);
      return double(fractionOf(x, whole));
    }),
    cdecl('modff', ['f32', 'pointer'], ({ memory }, x, integer) => {
      const whole = Math.trunc(x);
      memory.writeF32(integer, whole);
      return single(fractionOf(x, whole));
    }),
    ...integers.flatMap(([name, f]) => [
      cdecl(`l${name}`, ['f64'], (_call, x) => BigInt.asUintN(32, toInteger(f(x), 32))),
      cdecl(`l${name}f`, ['f32'], (_call, x) => BigInt.asUintN(32, toInteger(f(x), 32))),
      cdecl(`ll${name}`, ['f64'], (_call, x) => wide(toInteger(f(x), 64))),
      cdecl(`ll${name}f`, ['f32'], (_call, x) => wide(toInteger(f(x), 64))),
    ]),
    cdecl('ilogb', ['f64'], (_call, x) => ilogb(x)),
    cdecl('ilogbf', ['f32'], (_call, x) => ilogb(x)),
    cdecl('_dsign', ['f64'], (_call, x) => (x < 0 || Object.is(x, -0) ? 0x8000 : 0)),
    cdecl('_fdsign', ['f32'], (_call, x) => (x < 0 || Object.is(x, -0) ? 0x8000 : 0)),
    cdecl('_controlfp', ['u32', 'u32'], () => 0x9001f),
    cdecl('_control87', ['u32', 'u32'], () => 0x9001f),
    cdecl('_controlfp_s', ['pointer', 'u32', 'u32'], ({ memory }, current) => {
      if (current !== 0n) memory.writeU32(current, 0x9001f);
      return 0;
    }),
    cdecl('_clearfp', [], () => 0),
    cdecl('_statusfp', [], () => 0),
    cdecl('fegetround', [], () => 0),
    cdecl('_fpreset', [], () => {}),
  ];
}

const ilogb = (x: number): number => {
  if (x === 0 || Number.isNaN(x)) return -0x8000_0000;
  return Number.isFinite(x) ? split(x).exponent - 1 : 0x7fff_ffff;
};

const fractionOf = (x: number, whole: number): number => {
  const fraction = Number.isFinite(x) ? x - whole : Number.isNaN(x) ? x : 0;
  return fraction === 0 && (x < 0 || Object.is(x, -0)) ? -0 : fraction;
};

const scaled64 = (call: ServiceCall, x: number, by: number) => double(checked(call, scale(x, by), x));
const scaled32 = (call: ServiceCall, x: number, by: number) => single(checked(call, fround(scale(x, by)), x));

function splitTo({ memory }: ServiceCall, x: number, at: bigint, size: 'single' | 'double') {
  const { fraction, exponent } = split(x);
  memory.writeU32(at, exponent >>> 0);
  return size === 'single' ? single(fraction) : double(fraction);
}
