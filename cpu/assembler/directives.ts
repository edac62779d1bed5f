import { AssemblerError } from './error.js';
import { foldOperands, type Lookup } from './operands.js';
import { type Statement, type Token, unquote } from './source.js';

const DATA_SIZES: Readonly<Record<string, number>> = {
  '.byte': 1,
  '.2byte': 2,
  '.short': 2,
  '.hword': 2,
  '.4byte': 4,
  '.long': 4,
  '.int': 4,
  '.inst': 4,
  '.8byte': 8,
  '.quad': 8,
  '.xword': 8,
};

export interface DirectiveContext {
  readonly at: bigint;
  readonly lookup: Lookup;
  /** What alignment inserts; its last unit repeats. */
  readonly padding: Uint8Array;
  /** 2 on x86 and x64, 4 on ARM64. */
  readonly wordSize: number;
  readonly alignsByExponent: boolean;
}

/** The bytes of a data directive; keystone's own directives crash (`.text`), or produce nothing without an error. */
export function assembleDirective(
  statement: Statement,
  name: string,
  tokens: readonly Token[],
  context: DirectiveContext,
): Uint8Array {
  const size = name === '.word' ? context.wordSize : DATA_SIZES[name];
  if (size !== undefined) return data(size, numbers(statement, tokens, context.lookup), statement);
  switch (name) {
    case '.ascii':
      return text(statement, tokens, '');
    case '.asciz':
    case '.string':
      return text(statement, tokens, '\0');
    case '.zero':
    case '.skip':
    case '.space':
    case '.fill': {
      const [count = 0n, second = name === '.fill' ? 1n : 0n, value = 0n] = numbers(
        statement,
        tokens,
        context.lookup,
      );
      const unit = name === '.fill' ? data(Number(second), [value], statement) : data(1, [second], statement);
      return repeat(unit, length(statement, count));
    }
    case '.align':
    case '.balign':
    case '.p2align': {
      const [given = 1n] = numbers(statement, tokens, context.lookup);
      const boundary =
        name === '.p2align' || (name === '.align' && context.alignsByExponent) ? 1n << given : given;
      if (boundary <= 0n || (boundary & (boundary - 1n)) !== 0n) {
        throw new AssemblerError('assemblySyntax', statement, `${boundary} is not a power of two`);
      }
      const missing = length(statement, BigInt.asUintN(64, -context.at) % boundary);
      return repeat(context.padding, Math.ceil(missing / context.padding.length)).subarray(0, missing);
    }
    case '.globl':
    case '.global':
    case '.extern':
      return new Uint8Array(0);
    default:
      throw new AssemblerError(
        'unsupportedDirective',
        statement,
        `${name} is not supported: the source is one stretch of code at one address. Supported: ${Object.keys(DATA_SIZES).join(' ')} .word .ascii .asciz .string .zero .skip .space .fill .align .balign .p2align .set .equ`,
      );
  }
}

/** `.set name, value` and `.equ name, value`. */
export function definition(
  statement: Statement,
  tokens: readonly Token[],
  lookup: Lookup,
): { name: string; value: bigint } {
  const [name, comma, ...rest] = tokens;
  if (name?.kind !== 'name' || comma?.text !== ',')
    throw new AssemblerError('assemblySyntax', statement, 'expected: .set name, value');
  const [value] = numbers(statement, rest, lookup);
  if (value === undefined) throw new AssemblerError('assemblySyntax', statement, 'the value is missing');
  return { name: name.text, value };
}

function numbers(statement: Statement, tokens: readonly Token[], lookup: Lookup): bigint[] {
  const values: bigint[] = [];
  let expectsComma = false;
  for (const part of foldOperands(tokens, lookup)) {
    if (part.kind === 'sum' && part.terms.length > 0) {
      throw new AssemblerError(
        'undefinedSymbol',
        statement,
        `${part.terms.join('').replace(/^\+/, '')} is not defined`,
      );
    }
    if (expectsComma ? part.kind !== 'text' || part.text !== ',' : part.kind !== 'sum') {
      throw new AssemblerError('assemblySyntax', statement, 'expected numbers, separated by commas');
    }
    if (part.kind === 'sum') values.push(part.constant);
    expectsComma = !expectsComma;
  }
  return values;
}

function data(size: number, values: readonly bigint[], statement: Statement): Uint8Array {
  if (![1, 2, 4, 8].includes(size))
    throw new AssemblerError('assemblySyntax', statement, `no unit of ${size} bytes`);
  const bytes = new Uint8Array(size * values.length);
  values.forEach((value, index) => {
    const bits = BigInt(size * 8);
    if (value >= 1n << bits || value < -(1n << (bits - 1n))) {
      throw new AssemblerError('immediateOutOfRange', statement, `${value} does not fit in ${bits} bits`);
    }
    for (let byte = 0; byte < size; byte++)
      bytes[index * size + byte] = Number((value >> BigInt(byte * 8)) & 0xffn);
  });
  return bytes;
}

function text(statement: Statement, tokens: readonly Token[], end: string): Uint8Array {
  const strings = tokens.filter((_, index) => index % 2 === 0);
  if (strings.length === 0 || strings.some(({ kind }) => kind !== 'string')) {
    throw new AssemblerError('assemblySyntax', statement, 'expected strings in double quotes');
  }
  return new TextEncoder().encode(strings.map((string) => unquote(string.text) + end).join(''));
}

const LONGEST = 1n << 24n;

function length(statement: Statement, count: bigint): number {
  if (count < 0n || count > LONGEST)
    throw new AssemblerError('immediateOutOfRange', statement, `${count} is not a usable length`);
  return Number(count);
}

function repeat(unit: Uint8Array, count: number): Uint8Array {
  const bytes = new Uint8Array(unit.length * count);
  for (let index = 0; index < count; index++) bytes.set(unit, index * unit.length);
  return bytes;
}
