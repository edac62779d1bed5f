import type { GuestMemory } from '../../memory/index.js';
import { parseFloatLiteral, roundLiteral } from './decimal.js';
import type { VariadicArguments } from './varargs.js';

/** Characters one by one: bytes, or UTF-16 units of a wide function. */
export interface ScanInput {
  /** The next character, which stays; undefined at the end. */
  peek(): string | undefined;
  next(): void;
}

export interface ScanfOptions {
  readonly wide: boolean;
  readonly legacyWideSpecifiers: boolean;
  /** scanf_s: the size of each buffer follows it. */
  readonly secure: boolean;
}

const SPECIFICATION = /(\*)?(\d*)(hh|h|ll|l|L|j|z|t|I64|I32|I|w|T)?(\[\^?\]?[^\]]*\]|.)/sy;
const SPACE = /[ \t-\r]/;
const EOF = -1;

/**
 * What a scanf-like function does (stdio.h; "Format specification fields: scanf", learn.microsoft.com).
 * @returns how many arguments were assigned; -1 when the input ended before the first conversion
 */
export function scanf(
  format: string,
  args: VariadicArguments,
  options: ScanfOptions,
  input: ScanInput,
): number {
  const reader = new CountingInput(input);
  let assigned = 0;
  let converted = false;
  for (let at = 0; at < format.length; ) {
    const letter = format.charAt(at);
    if (SPACE.test(letter)) {
      reader.skipSpace();
      at += 1;
      continue;
    }
    if (letter !== '%') {
      const found = reader.peek();
      if (found === undefined) return converted || assigned > 0 ? assigned : EOF;
      if (found !== letter) return assigned;
      reader.next();
      at += 1;
      continue;
    }
    SPECIFICATION.lastIndex = at + 1;
    const match = SPECIFICATION.exec(format);
    if (match === null) return assigned;
    at = SPECIFICATION.lastIndex;
    const [, suppressed, widthText = '', size = '', kind = ''] = match;
    if (kind === '%') {
      reader.skipSpace();
      if (reader.peek() !== '%') return reader.peek() === undefined && !converted ? EOF : assigned;
      reader.next();
      continue;
    }
    const conversion = { kind, size, width: widthText === '' ? undefined : Number(widthText) };
    if (kind === 'n') {
      if (suppressed === undefined) storeInteger(args, size, BigInt(reader.consumed));
      continue;
    }
    if (!/^[c[C]/.test(kind)) reader.skipSpace();
    if (reader.peek() === undefined) return assigned > 0 || converted ? assigned : EOF;
    const outcome = convert(conversion, suppressed !== undefined, args, options, reader);
    if (outcome === 'mismatch') return assigned;
    converted = true;
    if (suppressed === undefined) assigned += 1;
  }
  return assigned;
}

interface Conversion {
  readonly kind: string;
  readonly size: string;
  readonly width: number | undefined;
}

class CountingInput implements ScanInput {
  consumed = 0;

  constructor(private readonly input: ScanInput) {}

  peek(): string | undefined {
    return this.input.peek();
  }

  next(): void {
    this.consumed += 1;
    this.input.next();
  }

  skipSpace(): void {
    for (let next = this.peek(); next !== undefined && SPACE.test(next); next = this.peek()) this.next();
  }

  /** The longest prefix that `isPrefix` accepts, at most `width` characters. */
  take(width: number, isPrefix: (text: string) => boolean): string {
    let text = '';
    for (let next = this.peek(); next !== undefined && text.length < width; next = this.peek()) {
      if (!isPrefix(text + next)) break;
      text += next;
      this.next();
    }
    return text;
  }
}

function convert(
  conversion: Conversion,
  suppressed: boolean,
  args: VariadicArguments,
  options: ScanfOptions,
  reader: CountingInput,
): 'done' | 'mismatch' {
  const { kind, size, width } = conversion;
  switch (kind.charAt(0)) {
    case 'd':
    case 'u':
      return integer(10, conversion, suppressed, args, reader);
    case 'i':
      return integer(0, conversion, suppressed, args, reader);
    case 'o':
      return integer(8, conversion, suppressed, args, reader);
    case 'x':
    case 'X':
      return integer(16, conversion, suppressed, args, reader);
    case 'p':
      return integer(16, { ...conversion, size: 'z' }, suppressed, args, reader);
    case 'a':
    case 'A':
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      return floating(size, width, suppressed, args, reader);
    case 'c':
    case 'C': {
      const count = width ?? 1;
      const text = reader.take(count, () => true);
      if (text.length < count) return 'mismatch';
      return suppressed ? 'done' : storeText(text, false, conversion, args, options);
    }
    case 's':
    case 'S': {
      const text = reader.take(width ?? Number.POSITIVE_INFINITY, (all) => !SPACE.test(all.slice(-1)));
      return suppressed ? 'done' : storeText(text, true, conversion, args, options);
    }
    case '[': {
      const isIn = characterSet(kind);
      const text = reader.take(width ?? Number.POSITIVE_INFINITY, (all) => isIn(all.slice(-1)));
      if (text === '') return 'mismatch';
      return suppressed ? 'done' : storeText(text, true, conversion, args, options);
    }
    default:
      return 'mismatch';
  }
}

function characterSet(text: string): (character: string) => boolean {
  const inner = text.slice(1, -1);
  const negated = inner.startsWith('^');
  const members = negated ? inner.slice(1) : inner;
  const set = new Set<string>();
  const ranges: [string, string][] = [];
  for (let at = 0; at < members.length; at++) {
    const first = members.charAt(at);
    const last = members.charAt(at + 2);
    if (members[at + 1] !== '-' || last === '') set.add(first);
    else {
      ranges.push(first <= last ? [first, last] : [last, first]);
      at += 2;
    }
  }
  const has = (character: string) =>
    set.has(character) || ranges.some(([first, last]) => character >= first && character <= last);
  return (character) => has(character) !== negated;
}

const DIGITS = {
  8: /^[+-]?[0-7]*$/,
  10: /^[+-]?\d*$/,
  16: /^[+-]?(0?|0[xX][\da-fA-F]*|[\da-fA-F]*)$/,
} as const;
const ANY_BASE = /^[+-]?(0?|0[xX][\da-fA-F]*|0[0-7]*|[1-9]\d*)$/;

function integer(
  base: 0 | 8 | 10 | 16,
  { size, width }: Conversion,
  suppressed: boolean,
  args: VariadicArguments,
  reader: CountingInput,
): 'done' | 'mismatch' {
  const pattern = base === 0 ? ANY_BASE : DIGITS[base];
  const text = reader.take(width ?? Number.POSITIVE_INFINITY, (all) => pattern.test(all));
  const negative = text.startsWith('-');
  const digits = text.replace(/^[+-]/, '');
  const isHex = /^0[xX]/.test(digits) && base !== 10 && base !== 8;
  const radix = isHex || base === 16 ? 16 : base === 8 || (base === 0 && digits.startsWith('0')) ? 8 : 10;
  const plain = digits.replace(/^0[xX]/, '');
  if (plain === '') return 'mismatch';
  const magnitude = BigInt((radix === 16 ? '0x' : radix === 8 ? '0o' : '') + plain);
  if (!suppressed) storeInteger(args, size, negative ? -magnitude : magnitude);
  return 'done';
}

function storeInteger(args: VariadicArguments, size: string, value: bigint): void {
  const { memory } = args;
  const address = args.word();
  switch (size) {
    case 'hh':
      memory.writeU8(address, Number(BigInt.asUintN(8, value)));
      return;
    case 'h':
      memory.writeU16(address, Number(BigInt.asUintN(16, value)));
      return;
    case 'll':
    case 'j':
    case 'I64':
      memory.writeU64(address, value);
      return;
    case 'z':
    case 't':
    case 'I':
      memory.writePointer(address, value);
      return;
    default:
      memory.writeU32(address, Number(BigInt.asUintN(32, value)));
  }
}

const FLOAT_PREFIX =
  /^[+-]?(|\d+\.?\d*([eE][+-]?\d*)?|\.\d*([eE][+-]?\d*)?|0[xX][\da-fA-F]*\.?[\da-fA-F]*([pP][+-]?\d*)?|i|in|inf|infi|infin|infini|infinit|infinity|n|na|nan|nan\(\w*\)?)$/i;

function floating(
  size: string,
  width: number | undefined,
  suppressed: boolean,
  args: VariadicArguments,
  reader: CountingInput,
): 'done' | 'mismatch' {
  const text = reader.take(width ?? Number.POSITIVE_INFINITY, (all) => FLOAT_PREFIX.test(all));
  const parsed = parseFloatLiteral(text);
  if (parsed === undefined) return 'mismatch';
  const isDouble = size === 'l' || size === 'L';
  const value =
    parsed.kind === 'number'
      ? roundLiteral(parsed.literal, isDouble ? 'double' : 'single').value
      : parsed.kind === 'nan'
        ? Number.NaN
        : parsed.negative
          ? Number.NEGATIVE_INFINITY
          : Number.POSITIVE_INFINITY;
  if (suppressed) return 'done';
  if (isDouble) args.memory.writeF64(args.word(), value);
  else args.memory.writeF32(args.word(), value);
  return 'done';
}

function storeText(
  text: string,
  terminated: boolean,
  { kind, size }: Conversion,
  args: VariadicArguments,
  { wide, legacyWideSpecifiers, secure }: ScanfOptions,
): 'done' | 'mismatch' {
  const isCapital = kind === 'S' || kind === 'C';
  const likeFunction = wide && legacyWideSpecifiers;
  const isWide =
    size === 'h' ? false : size === 'l' || size === 'w' ? true : isCapital ? !likeFunction : likeFunction;
  const address = args.word();
  const all = terminated ? `${text}\0` : text;
  if (secure) {
    const room = Number(BigInt.asUintN(32, args.word()));
    if (all.length > room) {
      if (room > 0) storeUnits(args.memory, address, '\0', isWide);
      return 'mismatch';
    }
  }
  storeUnits(args.memory, address, all, isWide);
  return 'done';
}

function storeUnits(memory: GuestMemory, address: bigint, text: string, isWide: boolean): void {
  memory.write(address, Buffer.from(text, isWide ? 'utf16le' : 'latin1'));
}

/** Input from text that is in memory already. */
export function textInput(text: string): ScanInput {
  let at = 0;
  return {
    peek: () => text[at],
    next: () => {
      at += 1;
    },
  };
}
