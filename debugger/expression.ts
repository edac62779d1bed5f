import type { LoadedImage } from '../loader/index.js';
import { DebugError } from './error.js';
import { addressesOfLine, parseSourcePlace, type SourceFiles } from './source.js';
import { littleEndian, type ThreadView } from './thread-view.js';

/** What expressions are about: a machine as a thread sees it, and its sources. */
export type EvaluationView = ThreadView & { readonly session: { readonly sources: SourceFiles } };

/**
 * Evaluates an address or number as WinDbg's MASM evaluator writes it: numbers are hexadecimal unless they begin with
 * `0n` (decimal), `0t` (octal) or `0y` (binary), may carry a backtick, and are followed by symbols (`module!name`),
 * registers (`@rax`), `.` for the instruction pointer, `poi`, `by`, `wo`, `dwo`, `qwo` for what memory holds there,
 * `+ - * / & | ^ << >>`, comparisons (`==` or `=`, `!=`, `<`, `<=`, `>`, `>=`: unsigned, 1 or 0), `and`, `or`, `xor`, unary `-`
 * and `~`, and parentheses. 64 bits wide. The name of a slot is one of an address: `demo!HPAT[0].data`.
 */
export function evaluate(text: string, view: EvaluationView): bigint {
  const place = parseSourcePlace(text);
  if (place !== undefined) {
    const [address] = addressesOfLine(view.images, place, view.session.sources);
    if (address === undefined) throw new DebugError(`no module has code of ${place.file}:${place.line}`);
    return address;
  }
  const tokens = tokenize(text);
  const parser = new Parser(tokens, view);
  const value = parser.expression(0);
  parser.end();
  return BigInt.asUintN(64, value);
}

const TOKEN =
  /\s*(?:(<<|>>|[=!<>]=|[-+*/&|^~()=<>])|(@?\$?[A-Za-z_?][\w$?@.~`]*(?:![\w$?@.~[\]]+)?|@[\w$]+|[\da-fA-F][\w`]*(?:![\w$?@.~[\]]+)?|\.))/y;

function tokenize(text: string): string[] {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  let at = 0;
  while (text.slice(at).trim() !== '') {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (match === null) throw new DebugError(`'${text.trim()}': cannot read '${text.slice(at).trim()}'`);
    tokens.push(match[1] ?? match[2] ?? '');
    at = TOKEN.lastIndex;
  }
  return tokens;
}

const BINARY: Readonly<Record<string, { readonly strength: number; apply(a: bigint, b: bigint): bigint }>> = {
  '|': { strength: 1, apply: (a, b) => a | b },
  '^': { strength: 2, apply: (a, b) => a ^ b },
  '&': { strength: 3, apply: (a, b) => a & b },
  '==': comparison((a, b) => a === b),
  '!=': comparison((a, b) => a !== b),
  '<': comparison((a, b) => a < b),
  '<=': comparison((a, b) => a <= b),
  '>': comparison((a, b) => a > b),
  '>=': comparison((a, b) => a >= b),
  '<<': { strength: 5, apply: (a, b) => a << (b & 63n) },
  '>>': { strength: 5, apply: (a, b) => BigInt.asUintN(64, a) >> (b & 63n) },
  '+': { strength: 6, apply: (a, b) => a + b },
  '-': { strength: 6, apply: (a, b) => a - b },
  '*': { strength: 7, apply: (a, b) => a * b },
  '/': { strength: 7, apply: divide },
};

const WORDS: Readonly<Record<string, string>> = { and: '&', or: '|', xor: '^', '=': '==' };

function comparison(holds: (a: bigint, b: bigint) => boolean) {
  const unsigned = (value: bigint) => BigInt.asUintN(64, value);
  return { strength: 4, apply: (a: bigint, b: bigint) => (holds(unsigned(a), unsigned(b)) ? 1n : 0n) };
}

function divide(a: bigint, b: bigint): bigint {
  if (b === 0n) throw new DebugError('division by zero');
  return BigInt.asUintN(64, a) / b;
}

/** Bytes that a memory operator reads; `poi`: a pointer. */
const MEMORY: Readonly<Record<string, number>> = { poi: 0, by: 1, wo: 2, dwo: 4, qwo: 8 };

class Parser {
  #at = 0;

  constructor(
    private readonly tokens: readonly string[],
    private readonly view: EvaluationView,
  ) {}

  expression(weakest: number): bigint {
    let value = this.#operand();
    for (;;) {
      const token = this.tokens[this.#at] ?? '';
      const operator = BINARY[WORDS[token.toLowerCase()] ?? token];
      if (operator === undefined || operator.strength <= weakest) return value;
      this.#at++;
      value = operator.apply(value, this.expression(operator.strength));
    }
  }

  end(): void {
    const rest = this.tokens.slice(this.#at).join(' ');
    if (rest !== '') throw new DebugError(`'${rest}' is too much: expected an operator before it`);
  }

  #operand(): bigint {
    const token = this.tokens[this.#at++];
    if (token === undefined) throw new DebugError('an expression ends too early');
    if (token === '-') return -this.#operand();
    if (token === '+') return this.#operand();
    if (token === '~') return ~this.#operand();
    if (token === '(') return this.#closed();
    const size = MEMORY[token.toLowerCase()];
    if (size !== undefined && this.tokens[this.#at] === '(') {
      this.#at++;
      return littleEndian(this.view.read(this.#closed(), size || this.view.pointerSize));
    }
    return tokenValue(token, this.view);
  }

  #closed(): bigint {
    const value = this.expression(0);
    if (this.tokens[this.#at++] !== ')') throw new DebugError("a ')' is missing");
    return value;
  }
}

/** Numbers come first, then registers, then symbols. */
function tokenValue(token: string, view: EvaluationView): bigint {
  if (token === '.') return view.pc;
  if (token.startsWith('@')) {
    const value = view.register(token.slice(1).toLowerCase());
    if (value === undefined) throw new DebugError(`there is no register '${token.slice(1)}'`);
    return value;
  }
  const number = readNumber(token) ?? view.register(token.toLowerCase()) ?? symbol(token, view);
  if (number !== undefined) return number;
  throw new DebugError(`cannot resolve '${token}': no number, register or symbol; x *!*${token}* searches`);
}

const RADIX: Readonly<Record<string, string>> = { '0n': '', '0t': '0o', '0y': '0b', '0x': '0x' };

/** A number; undefined when the text is none. */
export function readNumber(text: string): bigint | undefined {
  const plain = text.replaceAll('`', '').toLowerCase();
  const radix = RADIX[plain.slice(0, 2)];
  if (radix !== undefined && plain.length > 2) return toBigInt(radix + plain.slice(2));
  return /^[\da-f]+$/.test(plain) ? toBigInt(`0x${plain}`) : undefined;
}

function toBigInt(text: string): bigint | undefined {
  try {
    return BigInt(text);
  } catch {
    return undefined;
  }
}

/** Address of `HPAT[3].code`; undefined where the image has none of that number. */
export function slotAddress({ hpat }: LoadedImage, name: string): bigint | undefined {
  const [, slot, kind] = SLOT.exec(name) ?? [];
  if (slot === undefined || hpat === undefined || Number(slot) >= hpat.capacity) return undefined;
  return kind?.toLowerCase() === 'code' ? hpat.codeSlot(Number(slot)) : hpat.dataSlot(Number(slot));
}

const SLOT = /^HPAT\[(\d+)\]\.(code|data)$/i;

/** `module!name`, `name`, `module!HPAT[3].code`, or a bare module name for its base address. */
function symbol(token: string, view: EvaluationView): bigint | undefined {
  const [first = '', second] = token.split('!');
  const images = second === undefined ? view.images : view.images.filter((image) => isNamed(image, first));
  for (const image of images) {
    const slot = slotAddress(image, second ?? '');
    if (slot !== undefined) return slot;
    const rva = image.symbols.byName(second ?? first)?.rva ?? image.exportRva(second ?? first);
    if (rva !== undefined) return image.address(rva);
  }
  return second === undefined ? view.images.find((image) => isNamed(image, first))?.dllBase : undefined;
}

function isNamed({ moduleName }: { readonly moduleName: string }, name: string): boolean {
  return moduleName.toLowerCase() === name.toLowerCase();
}
