import { AssemblerError } from './error.js';

export type Token =
  | { readonly kind: 'name' | 'string' | 'punctuation' | 'float'; readonly text: string }
  | { readonly kind: 'number'; readonly text: string; readonly value: bigint };

export interface Statement {
  /** From 1. */
  readonly line: number;
  readonly source: string;
  readonly labels: readonly string[];
  /** Instruction or directive in lower case, with what follows; undefined when there are only labels. */
  readonly operation?: { readonly name: string; readonly operands: readonly Token[] };
}

/** Names of this shape, `module!symbol` included, may be labels and symbols. */
const NAME = /[A-Za-z_.$?@][\w.$?@]*(?:![A-Za-z_$?@][\w.$?@]*)?/y;
const NUMBER = /0x[0-9a-f]+|0b[01]+(?![0-9a-f]*h)|[0-9][0-9a-f]*h|\d+\.\d+|\d+/iy;
const STRING = /"(?:\\.|[^"\\])*"/y;
const CHARACTER = /'(?:\\.|[^'\\])'/y;
// Everything keystone sees is made of these: it never returns from some of the other characters ($, ?, !name).
const PUNCTUATION = /:lo12:|[[\](){},:+\-*#!=]/y;

/**
 * Splits at line ends and `;`. Comments: `//`, C comments in one line, `#` as the first character of a line; in x86
 * and x64 sources also `#` anywhere, where ARM64 writes immediates with it.
 */
export function parseSource(source: string, hashIsComment: boolean): Statement[] {
  const statements: Statement[] = [];
  source.split(/\r?\n/).forEach((text, index) => {
    const line = index + 1;
    const tokens = tokenise(text, line, hashIsComment);
    let current: Token[] = [];
    for (const token of [...tokens, { kind: 'punctuation', text: ';' } as const]) {
      if (token.text !== ';' || token.kind !== 'punctuation') current.push(token);
      else {
        if (current.length > 0) statements.push(toStatement(current, line, text.trim()));
        current = [];
      }
    }
  });
  return statements;
}

function toStatement(tokens: readonly Token[], line: number, source: string): Statement {
  const labels: string[] = [];
  let at = 0;
  while (tokens[at]?.kind === 'name' && tokens[at + 1]?.text === ':') {
    labels.push(tokens[at]?.text ?? '');
    at += 2;
  }
  const [first, ...operands] = tokens.slice(at);
  if (first === undefined) return { line, source, labels };
  if (first.kind !== 'name') {
    throw new AssemblerError(
      'assemblySyntax',
      { line, source },
      `an instruction cannot begin with ${first.text}`,
    );
  }
  if (!isBalanced(operands))
    throw new AssemblerError('assemblySyntax', { line, source }, 'brackets do not match');
  return { line, source, labels, operation: { name: first.text.toLowerCase(), operands } };
}

const CLOSING: Readonly<Record<string, string>> = { '[': ']', '(': ')', '{': '}' };

/** Keystone takes `[rax` for `[0]`. */
function isBalanced(tokens: readonly Token[]): boolean {
  const open: string[] = [];
  for (const { kind, text } of tokens) {
    if (kind !== 'punctuation') continue;
    const closing = CLOSING[text];
    if (closing !== undefined) open.push(closing);
    else if (Object.values(CLOSING).includes(text) && open.pop() !== text) return false;
  }
  return open.length === 0;
}

function tokenise(text: string, line: number, hashIsComment: boolean): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    return pattern.exec(text)?.[0];
  };
  while (at < text.length) {
    const skipped = match(/\s+|\/\*.*?\*\//y);
    if (skipped !== undefined) {
      at += skipped.length;
      continue;
    }
    const isHashComment = text[at] === '#' && (hashIsComment || tokens.length === 0);
    if (text.startsWith('//', at) || isHashComment) break;
    const token =
      nextToken(match) ?? (text[at] === ';' ? ({ kind: 'punctuation', text: ';' } as const) : undefined);
    if (token === undefined) {
      throw new AssemblerError(
        'assemblySyntax',
        { line, source: text.trim() },
        `unexpected ${JSON.stringify(text[at])}`,
      );
    }
    tokens.push(token);
    at += token.text.length;
  }
  return tokens;
}

function nextToken(match: (pattern: RegExp) => string | undefined): Token | undefined {
  const number = match(NUMBER);
  if (number !== undefined) {
    if (number.includes('.')) return { kind: 'float', text: number };
    const value = /h$/i.test(number) ? BigInt(`0x${number.slice(0, -1)}`) : BigInt(number);
    return { kind: 'number', text: number, value };
  }
  const character = match(CHARACTER);
  if (character !== undefined) {
    return { kind: 'number', text: character, value: BigInt(unquote(character).codePointAt(0) ?? 0) };
  }
  for (const [kind, pattern] of [
    ['name', NAME],
    ['string', STRING],
    ['punctuation', PUNCTUATION],
  ] as const) {
    const text = match(pattern);
    if (text !== undefined) return { kind, text };
  }
  return undefined;
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', 0: '\0' };

/** The characters between the quotes. */
export function unquote(quoted: string): string {
  return quoted.slice(1, -1).replace(/\\(.)/g, (_, character: string) => ESCAPES[character] ?? character);
}
