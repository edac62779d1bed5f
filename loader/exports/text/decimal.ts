/** A finite positive number in decimal, exactly: 0.d1d2d3… times ten to the power `point`. */
export interface Decimal {
  readonly digits: string;
  readonly point: number;
}

/** `toEven`: IEEE 754, exact halves go to the even digit. `up`: exact halves go away from zero. */
export type Rounding = 'toEven' | 'up';

const bits = new DataView(new ArrayBuffer(8));
const MANTISSA_BITS = 52n;
const MANTISSA = (1n << MANTISSA_BITS) - 1n;

export interface FloatParts {
  readonly negative: boolean;
  /** Biased, 0 to 0x7ff. */
  readonly exponent: number;
  readonly fraction: bigint;
}

export function partsOf(value: number): FloatParts {
  bits.setFloat64(0, value);
  return partsOfBits(bits.getBigUint64(0));
}

export function partsOfBits(raw: bigint): FloatParts {
  return {
    negative: raw >> 63n !== 0n,
    exponent: Number((raw >> MANTISSA_BITS) & 0x7ffn),
    fraction: raw & MANTISSA,
  };
}

/** Every digit of a finite number's magnitude; no digits for zero. */
export function exactDecimal({ exponent, fraction }: FloatParts): Decimal {
  const mantissa = exponent === 0 ? fraction : fraction | (1n << MANTISSA_BITS);
  if (mantissa === 0n) return { digits: '', point: 0 };
  const power = Math.max(exponent, 1) - 1075;
  if (power >= 0) {
    const digits = (mantissa << BigInt(power)).toString();
    return { digits, point: digits.length };
  }
  const digits = (mantissa * 5n ** BigInt(-power)).toString();
  return { digits, point: digits.length + power };
}

/** The number to `count` digits; `count` may be 0 or negative. The digits come back with trailing zeros cut off. */
export function roundDecimal({ digits, point }: Decimal, count: number, rounding: Rounding): Decimal {
  if (count >= digits.length) return { digits, point };
  if (count < 0) return { digits: '', point };
  const kept = digits.slice(0, count);
  if (!roundsUp(digits, count, rounding)) return { digits: kept.replace(/0+$/, ''), point };
  const raised = (BigInt(`0${kept}`) + 1n).toString();
  // 0.999 becomes 1.0: one digit more before the point.
  const carry = raised.length > count ? 1 : 0;
  return { digits: raised.padStart(count, '0').replace(/0+$/, ''), point: point + carry };
}

function roundsUp(digits: string, count: number, rounding: Rounding): boolean {
  const next = digits.charCodeAt(count) - 48;
  if (next !== 5) return next > 5;
  if (/[1-9]/.test(digits.slice(count + 1)) || rounding === 'up') return true;
  return count > 0 && (digits.charCodeAt(count - 1) & 1) === 1;
}

/** Sign, digits and exponent of a decimal or hexadecimal literal: `digits` times `base` (10, or 2 for hexadecimal) to `exponent`. */
export interface Literal {
  readonly negative: boolean;
  readonly digits: bigint;
  readonly base: 10 | 2;
  readonly exponent: number;
}

const FLOAT =
  /^[+-]?(?:0[xX](?:([\da-fA-F]+)(?:\.([\da-fA-F]*))?|\.([\da-fA-F]+))(?:[pP]([+-]?\d+))?|(?:(\d+)(?:\.(\d*))?|\.(\d+))(?:[eE]([+-]?\d+))?)/;
const SPECIAL = /^[+-]?(?:infinity|inf|nan(?:\([\w]*\))?)/i;
const FARTHEST = 1_000_000;

export type ParsedFloat =
  | { readonly kind: 'number'; readonly literal: Literal; readonly length: number }
  | { readonly kind: 'infinity' | 'nan'; readonly negative: boolean; readonly length: number };

/** The longest number at the beginning of `text`, as strtod takes it; undefined when there is none. */
export function parseFloatLiteral(text: string): ParsedFloat | undefined {
  const special = SPECIAL.exec(text);
  if (special !== null) {
    const kind = /nan/i.test(special[0]) ? 'nan' : 'infinity';
    return { kind, negative: text.startsWith('-'), length: special[0].length };
  }
  const match = FLOAT.exec(text);
  if (match === null) return undefined;
  const [all, hexInteger, hexFraction, hexOnlyFraction, binary, integer, fraction, onlyFraction, decimal] =
    match;
  const isHex = hexInteger !== undefined || hexOnlyFraction !== undefined;
  const before = (isHex ? hexInteger : integer) ?? '';
  const behind = (isHex ? (hexFraction ?? hexOnlyFraction) : (fraction ?? onlyFraction)) ?? '';
  const power = Math.max(-FARTHEST, Math.min(FARTHEST, Number((isHex ? binary : decimal) ?? 0)));
  const digits = BigInt(`${isHex ? '0x' : ''}0${before}${behind}`);
  const exponent = power - behind.length * (isHex ? 4 : 1);
  const literal = {
    negative: all.startsWith('-'),
    digits,
    base: isHex ? (2 as const) : (10 as const),
    exponent,
  };
  return { kind: 'number', literal, length: all.length };
}

interface Format {
  readonly precision: number;
  /** Power of two of the lowest bit of the smallest number. */
  readonly lowest: number;
  readonly highest: number;
}
const DOUBLE: Format = { precision: 53, lowest: -1074, highest: 971 };
const SINGLE: Format = { precision: 24, lowest: -149, highest: 104 };

export interface Rounded {
  readonly value: number;
  /** errno is ERANGE: it became infinity, or zero that it is not. */
  readonly outOfRange: boolean;
}

/** The nearest double or float, halves to even: exact for every literal. */
export function roundLiteral(literal: Literal, size: 'single' | 'double'): Rounded {
  const { negative, digits, base } = literal;
  const sign = negative ? -1 : 1;
  if (digits === 0n) return { value: sign * 0, outOfRange: false };
  const { precision, lowest, highest } = size === 'double' ? DOUBLE : SINGLE;
  const scale = decimalSize(digits) + literal.exponent;
  if (base === 10 && scale > 400) return { value: sign * Number.POSITIVE_INFINITY, outOfRange: true };
  if (base === 10 && scale < -400) return { value: sign * 0, outOfRange: true };
  if (base === 2 && Math.abs(literal.exponent) > 10_000 + digits.toString(2).length)
    return { value: literal.exponent > 0 ? sign * Number.POSITIVE_INFINITY : sign * 0, outOfRange: true };
  const factor = BigInt(base) ** BigInt(Math.abs(literal.exponent));
  const numerator = literal.exponent < 0 ? digits : digits * factor;
  const denominator = literal.exponent < 0 ? factor : 1n;
  // The lowest bit that the result can have.
  const width = bitLength(numerator) - bitLength(denominator);
  let power = Math.max(width - precision, lowest);
  for (;;) {
    const n = power < 0 ? numerator << BigInt(-power) : numerator;
    const d = power > 0 ? denominator << BigInt(power) : denominator;
    const quotient = n / d;
    if (bitLength(quotient) <= precision) {
      const rest = 2n * (n - quotient * d);
      const up = rest > d || (rest === d && (quotient & 1n) === 1n);
      let mantissa = quotient + (up ? 1n : 0n);
      if (bitLength(mantissa) > precision) {
        mantissa >>= 1n;
        power += 1;
      }
      if (power > highest) return { value: sign * Number.POSITIVE_INFINITY, outOfRange: true };
      const isTiny = mantissa === 0n;
      return { value: sign * scaled(mantissa, power), outOfRange: isTiny };
    }
    power += 1;
  }
}

/** Exact: the mantissa has at most 53 bits, and the result is a double. */
function scaled(mantissa: bigint, power: number): number {
  const value = Number(mantissa);
  return power < -1000
    ? value * 2 ** -1000 * 2 ** (power + 1000)
    : power > 900
      ? value * 2 ** 900 * 2 ** (power - 900)
      : value * 2 ** power;
}

const bitLength = (value: bigint): number => value.toString(2).length;
const decimalSize = (value: bigint): number => value.toString().length;
