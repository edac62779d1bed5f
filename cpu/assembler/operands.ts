import { AssemblerError } from './error.js';
import type { Statement, Token } from './source.js';

/** A sum, split into what is known as a number and the rest (registers, `rcx*8`, undefined names). */
export interface Sum {
  readonly kind: 'sum';
  readonly constant: bigint;
  /** Whether the constant is written out; false for a bare register. */
  readonly hasConstant: boolean;
  /** A symbol, label or the location counter takes part in the constant. */
  readonly isSymbolic: boolean;
  /** With their sign, `+rax`, `-rcx*8`. */
  readonly terms: readonly string[];
}

export type OperandPart = Sum | { readonly kind: 'text'; readonly text: string };

export type Lookup = (name: string) => bigint | undefined;

/** Folds every sum of an operand list; `lookup` answers for the names that stand for addresses. */
export function foldOperands(tokens: readonly Token[], lookup: Lookup): OperandPart[] {
  const parts: OperandPart[] = [];
  let at = 0;
  const isTerm = (token: Token | undefined): boolean => token?.kind === 'name' || token?.kind === 'number';
  const isSign = (token: Token | undefined): boolean =>
    token?.kind === 'punctuation' && (token.text === '+' || token.text === '-');

  function sum(): Sum {
    let constant = 0n;
    let hasConstant = false;
    let isSymbolic = false;
    const terms: string[] = [];
    for (let first = true; first || isSign(tokens[at]); first = false) {
      let sign = 1n;
      for (; isSign(tokens[at]); at++) if (tokens[at]?.text === '-') sign = -sign;
      let product = sign;
      const factors: string[] = [];
      let isNumber = true;
      for (;;) {
        const token = tokens[at++];
        const value = token?.kind === 'number' ? token.value : lookup(token?.text ?? '');
        if (token?.kind === 'name' && value !== undefined) isSymbolic = true;
        if (value === undefined) isNumber = false;
        else product *= value;
        factors.push(value === undefined ? (token?.text ?? '') : value.toString());
        if (tokens[at]?.text !== '*' || !isTerm(tokens[at + 1])) break;
        at++;
      }
      if (isNumber) {
        constant += product;
        hasConstant = true;
      } else terms.push((sign < 0n ? '-' : '+') + factors.join('*'));
    }
    return { kind: 'sum', constant, hasConstant, isSymbolic, terms };
  }

  while (at < tokens.length) {
    let ahead = at;
    while (isSign(tokens[ahead])) ahead++;
    if (isTerm(tokens[ahead])) {
      const folded = sum();
      const before = parts.at(-1);
      if (before?.kind === 'text' && before.text === ':lo12:') {
        parts.pop();
        parts.push({ ...folded, constant: folded.constant & 0xfffn });
      } else parts.push(folded);
    } else parts.push({ kind: 'text', text: tokens[at++]?.text ?? '' });
  }
  return parts;
}

/**
 * The operands as one letter each: `r` a bare name, `n` a number, `e` any other sum, `f` a fraction, and the
 * punctuation itself. Keystone hangs or crashes on several kinds of malformed operands, so only known shapes go there.
 */
export function checkShape(statement: Statement, parts: readonly OperandPart[], allowed: RegExp): void {
  const shape = parts.map((part) => {
    if (part.kind === 'sum') {
      if (part.terms.length === 0) return 'n';
      return part.terms.length === 1 && !part.hasConstant && /^\+[\w.]+$/.test(part.terms[0] ?? '')
        ? 'r'
        : 'e';
    }
    return /^\d/.test(part.text) ? 'f' : part.text;
  });
  if (!allowed.test(shape.join(''))) {
    throw new AssemblerError(
      'invalidOperand',
      statement,
      'the operands do not have the shape of an instruction',
    );
  }
}

/** As keystone reads it. */
export function renderOperands(parts: readonly OperandPart[]): string {
  return parts
    .map((part) => (part.kind === 'text' ? part.text : renderSum(part)))
    .join(' ')
    .replaceAll('# ', '#');
}

function renderSum({ terms, constant, hasConstant }: Sum): string {
  const number = (value: bigint): string =>
    value < 0n ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
  if (terms.length === 0) return number(constant);
  const rest = terms.join('').replace(/^\+/, '');
  if (!hasConstant || constant === 0n) return rest;
  return constant < 0n ? `${rest}${number(constant)}` : `${rest}+${number(constant)}`;
}
