import { bitsToFloat, floatBits } from './architecture.js';

const BIAS_DIFFERENCE = 16383n - 1023n;
const INTEGER_BIT = 1n << 63n;
const EXPONENT_MASK = 0x7fffn;

/** The 80-bit x87 format (Intel SDM vol. 1, "Double Extended-Precision") as a number, rounded toward zero. */
export function extendedToNumber(bits: bigint): number {
  const sign = (bits >> 79n) & 1n;
  const exponent = (bits >> 64n) & EXPONENT_MASK;
  const significand = bits & 0xffff_ffff_ffff_ffffn;
  const fraction = (significand & (INTEGER_BIT - 1n)) >> 11n;
  const biased = exponent - BIAS_DIFFERENCE;
  if (exponent === EXPONENT_MASK) return bitsToFloat((sign << 63n) | (0x7ffn << 52n) | fraction, 'double');
  if (significand === 0n || biased <= 0n) return sign === 1n ? -0 : 0;
  if (biased >= 0x7ffn) return sign === 1n ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  return bitsToFloat((sign << 63n) | (biased << 52n) | fraction, 'double');
}

/** Subnormal numbers become 0. */
export function numberToExtended(value: number): bigint {
  const bits = floatBits(value, 'double');
  const sign = bits >> 63n;
  const exponent = (bits >> 52n) & 0x7ffn;
  const fraction = bits & ((1n << 52n) - 1n);
  if (exponent === 0n) return sign << 79n;
  const wide = exponent === 0x7ffn ? EXPONENT_MASK : exponent + BIAS_DIFFERENCE;
  return (sign << 79n) | (wide << 64n) | INTEGER_BIT | (fraction << 11n);
}
