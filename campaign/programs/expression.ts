import type { Random } from '../random.js';

/** What an expression may name: all are `unsigned`, so that nothing a program computes is undefined in C. */
export interface Scope {
  /** Values that can be read. */
  readonly values: readonly string[];
  /** Lvalues that can be stored to. */
  readonly places: readonly string[];
  /** Functions of so many `unsigned` parameters that return `unsigned`. */
  readonly callees: readonly { readonly name: string; readonly parameters: number }[];
}

const OPERATORS = ['+', '-', '*', '&', '|', '^'] as const;
const COMPARISONS = ['<', '>', '<=', '>=', '==', '!='] as const;
const CONSTANTS = [
  0, 1, 2, 3, 5, 7, 8, 10, 13, 16, 31, 64, 100, 127, 255, 256, 1000, 4095, 65535, 0x7fffffff,
];

export function constant(random: Random): string {
  const value = random.once(4) ? random.next() : (CONSTANTS[random.below(CONSTANTS.length)] ?? 1);
  return `${value >>> 0}u`;
}

/** An `unsigned` value. */
export function expression(random: Random, scope: Scope, depth = 3): string {
  if (depth === 0 || random.once(4)) return leaf(random, scope);
  const part = () => expression(random, scope, depth - 1);
  switch (random.below(10)) {
    case 0:
      return `(${part()} / ((${part()}) | 1u))`;
    case 1:
      return `(${part()} % ((${part()}) | 1u))`;
    case 2:
      return `(${part()} ${random.pick(['<<', '>>'])} ((${part()}) & 31u))`;
    case 3:
      return `(${condition(random, scope, depth - 1)} ? ${part()} : ${part()})`;
    case 4:
      return `(unsigned)(${random.pick(['signed char', 'unsigned char', 'short', 'unsigned short', 'int'])})(${part()})`;
    case 5: {
      const callee = scope.callees[random.below(scope.callees.length)];
      return callee === undefined ? leaf(random, scope) : call(callee, part);
    }
    default:
      return `(${part()} ${random.pick(OPERATORS)} ${part()})`;
  }
}

export const call = (callee: Scope['callees'][number], argument: () => string): string =>
  `${callee.name}(${Array.from({ length: callee.parameters }, argument).join(', ')})`;

export function condition(random: Random, scope: Scope, depth = 2): string {
  const part = () => expression(random, scope, Math.max(0, depth - 1));
  const one = `${part()} ${random.pick(COMPARISONS)} ${part()}`;
  if (!random.once(4)) return `(${one})`;
  return `(${one} ${random.pick(['&&', '||'])} ${part()} ${random.pick(COMPARISONS)} ${part()})`;
}

function leaf(random: Random, { values }: Scope): string {
  const value = random.once(3) ? undefined : values[random.below(values.length)];
  return value ?? constant(random);
}
