import { type Decimal, exactDecimal, partsOfBits, type Rounding, roundDecimal } from './decimal.js';

export interface FloatFormat {
  readonly kind: string;
  /** -1: the default. */
  readonly precision: number;
  /** The flag #: the point stays, and %g keeps its zeros. */
  readonly alternate: boolean;
  readonly positiveSign: string;
  readonly rounding: Rounding;
  readonly exponentDigits: number;
}

type Piece = string | { readonly character: string; readonly count: number };

export interface FormattedFloat {
  /** Sign and `0x`: before zeros that fill up. */
  readonly prefix: string;
  readonly pieces: readonly Piece[];
  readonly finite: boolean;
}

const view = new DataView(new ArrayBuffer(8));

export function bitsToNumber(raw: bigint): number {
  view.setBigUint64(0, BigInt.asUintN(64, raw));
  return view.getFloat64(0);
}

export function numberToBits(value: number): bigint {
  view.setFloat64(0, value);
  return view.getBigUint64(0);
}

const QUIET = 1n << 51n;

/** A double as %a, %e, %f and %g print it in the universal C runtime: all digits are right, the exponent has two at least. */
export function formatFloat(value: number, raw: bigint, format: FloatFormat): FormattedFloat {
  const { negative, exponent, fraction } = partsOfBits(raw);
  const isCapital = format.kind < 'a';
  const text = (word: string) => (isCapital ? word.toUpperCase() : word);
  const prefix = negative ? '-' : format.positiveSign;
  if (exponent === 0x7ff) {
    const word = fraction === 0n ? 'inf' : nanText(negative, fraction);
    return { prefix, pieces: [text(word)], finite: false };
  }
  const kind = format.kind.toLowerCase();
  if (kind === 'a') {
    const { leading, pieces } = hexadecimal(exponent, fraction, format);
    return {
      prefix: `${prefix}${text('0x')}`,
      pieces: [leading, ...pieces.map((p) => (typeof p === 'string' ? text(p) : p))],
      finite: true,
    };
  }
  const exact = exactDecimal({ negative, exponent, fraction });
  const precision = format.precision < 0 ? 6 : format.precision;
  const pieces =
    kind === 'f'
      ? fixed(exact, precision, format)
      : kind === 'e'
        ? scientific(exact, precision, format, text('e'))
        : general(exact, precision === 0 ? 1 : precision, format, text('e'));
  return { prefix, pieces, finite: Number.isFinite(value) };
}

/** The names of the universal C runtime. */
function nanText(negative: boolean, fraction: bigint): string {
  if ((fraction & QUIET) === 0n) return 'nan(snan)';
  return negative && fraction === QUIET ? 'nan(ind)' : 'nan';
}

const zeros = (count: number): Piece => ({ character: '0', count: Math.max(0, count) });

function fixed(exact: Decimal, precision: number, { rounding, alternate }: FloatFormat): Piece[] {
  const { digits, point } = roundDecimal(exact, exact.point + precision, rounding);
  const before = point <= 0 ? '0' : digits.slice(0, point).padEnd(point, '0');
  if (precision === 0) return [before + (alternate ? '.' : '')];
  if (digits === '') return [`${before}.`, zeros(precision)];
  const lead = Math.min(precision, Math.max(0, -point));
  const behind = digits.slice(Math.max(0, point), Math.max(0, point + precision));
  return [`${before}.`, zeros(lead), behind, zeros(precision - lead - behind.length)];
}

function exponentText(exponent: number, digits: number, letter: string): string {
  return `${letter}${exponent < 0 ? '-' : '+'}${Math.abs(exponent).toString().padStart(digits, '0')}`;
}

function scientific(
  exact: Decimal,
  precision: number,
  { rounding, alternate, exponentDigits }: FloatFormat,
  letter: string,
): Piece[] {
  const { digits, point } = roundDecimal(exact, precision + 1, rounding);
  const exponent = digits === '' ? 0 : point - 1;
  const first = digits.slice(0, 1) || '0';
  const rest = digits.slice(1);
  const dot = precision > 0 || alternate ? '.' : '';
  return [
    `${first}${dot}${rest}`,
    zeros(precision - rest.length),
    exponentText(exponent, exponentDigits, letter),
  ];
}

function general(exact: Decimal, precision: number, format: FloatFormat, letter: string): Piece[] {
  const { digits, point } = roundDecimal(exact, precision, format.rounding);
  const exponent = digits === '' ? 0 : point - 1;
  const isFixed = exponent >= -4 && exponent < precision;
  if (format.alternate)
    return isFixed
      ? fixed({ digits, point }, precision - 1 - exponent, format)
      : scientific({ digits, point }, precision - 1, format, letter);
  // Without # the zeros at the end go, and with them the point.
  const significant = Math.max(1, digits.length);
  if (!isFixed) return scientific({ digits, point }, significant - 1, format, letter);
  return fixed({ digits, point }, Math.max(0, digits.length - point), format);
}

const HEX_DIGITS = 13;

function hexadecimal(
  exponent: number,
  fraction: bigint,
  { precision, alternate, rounding }: FloatFormat,
): { leading: string; pieces: Piece[] } {
  let mantissa = exponent === 0 ? fraction : fraction | (1n << 52n);
  const wanted = precision < 0 ? HEX_DIGITS : precision;
  if (wanted < HEX_DIGITS) {
    const cut = BigInt(4 * (HEX_DIGITS - wanted));
    const half = 1n << (cut - 1n);
    const rest = mantissa & ((1n << cut) - 1n);
    mantissa >>= cut;
    if (rest > half || (rest === half && (rounding === 'up' || (mantissa & 1n) === 1n))) mantissa += 1n;
  }
  const kept = Math.min(wanted, HEX_DIGITS);
  const digits = mantissa.toString(16).padStart(kept + 1, '0');
  const leading = digits.slice(0, digits.length - kept);
  const behind = digits.slice(digits.length - kept);
  const power = exponent === 0 ? (fraction === 0n ? 0 : -1022) : exponent - 1023;
  const dot = wanted > 0 || alternate ? '.' : '';
  return {
    leading: `${leading}${dot}`,
    pieces: [behind, zeros(wanted - kept), `p${power < 0 ? '-' : '+'}${Math.abs(power)}`],
  };
}
