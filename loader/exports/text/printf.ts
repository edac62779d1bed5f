import type { Rounding } from './decimal.js';
import { bitsToNumber, formatFloat } from './format-float.js';
import type { VariadicArguments } from './varargs.js';

/** Where formatted text goes. Widths and precisions come from the guest: fill characters are not made into strings. */
export interface FormatOutput {
  /** Latin-1 characters of a narrow function, UTF-16 of a wide one. */
  text(text: string): void;
  fill(character: string, count: number): void;
}

export interface PrintfOptions {
  /** A wide function: its format and output are UTF-16. */
  readonly wide: boolean;
  /** In a wide function `%s` and `%c` are wide, as Windows has always had it; otherwise narrow as in C. */
  readonly legacyWideSpecifiers: boolean;
  readonly rounding: Rounding;
  /** `1e+005` of msvcrt.dll. */
  readonly threeDigitExponents?: boolean;
  /** `%n` is allowed. */
  readonly countAllowed?: boolean;
}

/** What a format asks for and cannot be given. */
export class FormatError extends Error {
  constructor(
    readonly kind: 'invalidFormat' | 'cannotEncode',
    message: string,
  ) {
    super(message);
  }
}

const SPECIFICATION = /([-+0 #']*)(\*|\d*)(?:\.(\*|-?\d*))?(hh|h|ll|l|L|j|z|t|I64|I32|I|w|T)?(.)/sy;

interface Specification {
  readonly flags: string;
  readonly width: number;
  /** -1: none given. */
  readonly precision: number;
  readonly size: string;
  readonly kind: string;
}

/** Writes what a printf-like function prints (stdio.h; "Format specification syntax", learn.microsoft.com). @throws FormatError */
export function printf(
  format: string,
  args: VariadicArguments,
  options: PrintfOptions,
  output: FormatOutput,
): void {
  let written = 0;
  const counting: FormatOutput = {
    text: (text) => {
      written += text.length;
      output.text(text);
    },
    fill: (character, count) => {
      if (count <= 0) return;
      written += count;
      output.fill(character, count);
    },
  };
  for (let at = 0; at < format.length; ) {
    const percent = format.indexOf('%', at);
    if (percent !== at) counting.text(format.slice(at, percent < 0 ? format.length : percent));
    if (percent < 0) break;
    SPECIFICATION.lastIndex = percent + 1;
    const match = SPECIFICATION.exec(format);
    if (match === null) throw new FormatError('invalidFormat', 'a conversion without its letter');
    at = SPECIFICATION.lastIndex;
    convert(specificationOf(match, args), args, options, counting, () => written);
  }
}

const LARGEST = 0x7fff_ffff;
const bounded = (text: string): number => Math.min(LARGEST, Number(text || '0'));
const int = (args: VariadicArguments): number => Number(BigInt.asIntN(32, args.word()));

function specificationOf(match: RegExpExecArray, args: VariadicArguments): Specification {
  const [, flagText = '', widthText = '', precisionText, size = '', kind = ''] = match;
  let flags = flagText;
  let width = widthText === '*' ? int(args) : bounded(widthText);
  if (width < 0) {
    flags += '-';
    width = Math.min(LARGEST, -width);
  }
  const precision =
    precisionText === undefined
      ? -1
      : precisionText === '*'
        ? int(args)
        : bounded(precisionText.replace(/^-.*/, '-1'));
  return { flags, width, precision: Math.max(-1, precision), size, kind };
}

function convert(
  specification: Specification,
  args: VariadicArguments,
  options: PrintfOptions,
  output: FormatOutput,
  written: () => number,
): void {
  const { kind, size } = specification;
  switch (kind) {
    case '%':
      output.text('%');
      return;
    case 'd':
    case 'i': {
      const width = bitsOf(size, args.pointerSize);
      const value = BigInt.asIntN(
        width,
        width > 32 && size !== 'I' && size !== 'z' && size !== 't' ? args.quad() : args.word(),
      );
      integer(specification, value < 0n ? '-' : sign(specification), value < 0n ? -value : value, 10, output);
      return;
    }
    case 'u':
    case 'o':
    case 'x':
    case 'X': {
      const width = bitsOf(size, args.pointerSize);
      const value = BigInt.asUintN(
        width,
        width > 32 && size !== 'I' && size !== 'z' && size !== 't' ? args.quad() : args.word(),
      );
      const base = kind === 'u' ? 10 : kind === 'o' ? 8 : 16;
      const prefix = specification.flags.includes('#') && value !== 0n && base === 16 ? `0${kind}` : '';
      integer(specification, prefix, value, base, output);
      return;
    }
    case 'p': {
      const text = args
        .word()
        .toString(16)
        .toUpperCase()
        .padStart(args.pointerSize * 2, '0');
      padded({ ...specification, flags: specification.flags.replace('0', '') }, '', text, output);
      return;
    }
    case 'a':
    case 'A':
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G': {
      const raw = args.quad();
      const { prefix, pieces, finite } = formatFloat(bitsToNumber(raw), raw, {
        kind,
        precision: specification.precision,
        alternate: specification.flags.includes('#'),
        positiveSign: sign(specification),
        rounding: options.rounding,
        exponentDigits: options.threeDigitExponents === true ? 3 : 2,
      });
      floating(specification, prefix, pieces, finite, output);
      return;
    }
    case 'c':
    case 'C':
      character(specification, args, options, output);
      return;
    case 's':
    case 'S':
      string(specification, args, options, output);
      return;
    case 'Z':
      countedString(specification, args, options, output);
      return;
    case 'n':
      if (options.countAllowed !== true) throw new FormatError('invalidFormat', '%n is disabled');
      args.memory.writeU32(args.word(), written());
      return;
    default:
      throw new FormatError('invalidFormat', `%${kind} is no conversion`);
  }
}

/** Width of an integer argument: `long` has 32 bits on Windows. */
function bitsOf(size: string, pointerSize: 4 | 8): number {
  switch (size) {
    case 'hh':
      return 8;
    case 'h':
      return 16;
    case 'll':
    case 'j':
    case 'I64':
      return 64;
    case 'z':
    case 't':
    case 'I':
      return pointerSize * 8;
    default:
      return 32;
  }
}

const sign = ({ flags }: Specification): string =>
  flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '';

function integer(
  specification: Specification,
  prefix: string,
  magnitude: bigint,
  base: 8 | 10 | 16,
  output: FormatOutput,
): void {
  const { flags, precision, kind } = specification;
  let digits = magnitude === 0n && precision === 0 ? '' : magnitude.toString(base);
  if (kind === 'X') digits = digits.toUpperCase();
  if (kind === 'o' && flags.includes('#') && !digits.startsWith('0') && digits.length >= precision)
    digits = `0${digits}`;
  const zeros = Math.max(0, precision - digits.length);
  // A precision takes the flag 0 away.
  const rest = precision >= 0 ? { ...specification, flags: flags.replaceAll('0', '') } : specification;
  paddedPieces(rest, prefix, [{ character: '0', count: zeros }, digits], output);
}

type Piece = string | { readonly character: string; readonly count: number };
const lengthOf = (pieces: readonly Piece[]): number =>
  pieces.reduce((sum, piece) => sum + (typeof piece === 'string' ? piece.length : piece.count), 0);

function paddedPieces(
  { flags, width }: Specification,
  prefix: string,
  pieces: readonly Piece[],
  output: FormatOutput,
): void {
  const missing = width - prefix.length - lengthOf(pieces);
  const isLeft = flags.includes('-');
  const isZero = flags.includes('0') && !isLeft;
  if (!isLeft && !isZero) output.fill(' ', missing);
  if (prefix !== '') output.text(prefix);
  if (isZero) output.fill('0', missing);
  for (const piece of pieces)
    if (typeof piece === 'string') output.text(piece);
    else output.fill(piece.character, piece.count);
  if (isLeft) output.fill(' ', missing);
}

const padded = (specification: Specification, prefix: string, text: string, output: FormatOutput): void =>
  paddedPieces(specification, prefix, [text], output);

function floating(
  specification: Specification,
  prefix: string,
  pieces: readonly Piece[],
  finite: boolean,
  output: FormatOutput,
): void {
  const flags = finite ? specification.flags : specification.flags.replaceAll('0', '');
  paddedPieces({ ...specification, flags }, prefix, pieces, output);
}

/** Is the argument of %s, %c (and %S, %C, their opposites) UTF-16? */
function isWideArgument(
  { kind, size }: Specification,
  { wide, legacyWideSpecifiers }: PrintfOptions,
): boolean {
  if (size === 'h') return false;
  if (size === 'l' || size === 'll' || size === 'w') return true;
  const isCapital = kind === 'S' || kind === 'C';
  const likeFunction = wide && legacyWideSpecifiers;
  if (!isCapital) return likeFunction;
  return wide ? !likeFunction : true;
}

/** Text of the other width, in the locale "C": characters are bytes. */
function converted(text: string, isWide: boolean, wanted: boolean): string {
  if (isWide && !wanted && /[^\0-\xff]/.test(text))
    throw new FormatError('cannotEncode', 'a character that the locale "C" does not have');
  return text;
}

function character(
  specification: Specification,
  args: VariadicArguments,
  options: PrintfOptions,
  output: FormatOutput,
): void {
  const isWide = isWideArgument(specification, options);
  const code = Number(args.word() & (isWide ? 0xffffn : 0xffn));
  padded(specification, '', converted(String.fromCharCode(code), isWide, options.wide), output);
}

function string(
  specification: Specification,
  args: VariadicArguments,
  options: PrintfOptions,
  output: FormatOutput,
): void {
  const isWide = isWideArgument(specification, options);
  const { precision } = specification;
  const limit = precision < 0 ? undefined : precision;
  const address = args.word();
  const { memory } = args;
  const text =
    address === 0n
      ? '(null)'.slice(0, limit)
      : isWide
        ? memory.readUtf16(address, limit)
        : memory.readCString(address, limit);
  padded(specification, '', converted(text, isWide, options.wide), output);
}

/** ANSI_STRING or, with l or w, UNICODE_STRING. */
function countedString(
  specification: Specification,
  args: VariadicArguments,
  options: PrintfOptions,
  output: FormatOutput,
): void {
  const { memory } = args;
  const address = args.word();
  const isWide = specification.size === 'l' || specification.size === 'w';
  let text = '(null)';
  if (address !== 0n) {
    const buffer = memory.readPointer(address + BigInt(memory.pointerSize));
    const bytes = buffer === 0n ? new Uint8Array() : memory.read(buffer, memory.readU16(address));
    text = Buffer.from(bytes).toString(isWide ? 'utf16le' : 'latin1');
  }
  if (specification.precision >= 0) text = text.slice(0, specification.precision);
  padded(specification, '', converted(text, isWide, options.wide), output);
}
