import { inspect, isDeepStrictEqual } from 'node:util';
import { type NtStatusName, ntStatus } from '../image/index.js';

/** A scenario's expectation did not hold. */
export class ExpectationFailed extends Error {
  override readonly name = 'ExpectationFailed';
}

/** What can be expected of a value. Each throws {@link ExpectationFailed}. */
export interface Matchers {
  /** The same value (`Object.is`); numbers and bigints of the same value count as equal. */
  toBe(expected: unknown): void;
  /** The same structure and values. */
  toEqual(expected: unknown): void;
  /** A string has the text in it; an array has the same value among its elements. */
  toContain(expected: unknown): void;
  /** An NTSTATUS by its name: the low 32 bits of the value, as a C `int` or a whole register. */
  toBeStatus(expected: NtStatusName): void;
  /** A number or bigint is greater. */
  toBeGreaterThan(expected: number | bigint): void;
  /** The function throws an error whose message contains the text, or matches the expression. */
  toThrow(expected?: string | RegExp): void;
  /** The opposite of each. */
  readonly not: Matchers;
}

/** Begins an expectation of a value. */
export type Expect = (actual: unknown) => Matchers;

/** The `expect` of scenarios: few matchers, clear messages, and a count of what was checked. */
export function createExpect(onHeld: () => void = () => undefined): Expect {
  return (actual) => matchers(actual, false, onHeld);
}

function matchers(actual: unknown, negated: boolean, onHeld: () => void): Matchers {
  const check = (holds: boolean, verb: string, expected: unknown) => {
    if (holds === negated)
      throw new ExpectationFailed(
        `expected ${show(actual)} ${negated ? 'not ' : ''}${verb} ${show(expected)}`,
      );
    onHeld();
  };
  return {
    toBe: (expected) => check(isSame(actual, expected), 'to be', expected),
    toEqual: (expected) => check(isDeepStrictEqual(actual, expected), 'to equal', expected),
    toContain: (expected) => check(contains(actual, expected), 'to contain', expected),
    toBeStatus: (expected) =>
      check(
        isWhole(actual) && BigInt.asUintN(32, BigInt(actual)) === BigInt(ntStatus(expected).value),
        'to be',
        expected,
      ),
    toBeGreaterThan: (expected) =>
      check((actual as number | bigint) > expected, 'to be greater than', expected),
    toThrow(expected) {
      const message = thrownMessage(actual);
      const fits = message !== undefined && matchesText(message, expected);
      if (fits === negated)
        throw new ExpectationFailed(
          `expected a function ${negated ? 'not ' : ''}to throw ${show(expected ?? 'anything')}, but it ${message === undefined ? 'did not throw' : `threw: ${message}`}`,
        );
      onHeld();
    },
    get not() {
      return matchers(actual, !negated, onHeld);
    },
  };
}

function isSame(actual: unknown, expected: unknown): boolean {
  if (typeof actual !== typeof expected && isWhole(actual) && isWhole(expected))
    return BigInt(actual) === BigInt(expected);
  return Object.is(actual, expected);
}

function isWhole(value: unknown): value is number | bigint {
  return typeof value === 'bigint' || (typeof value === 'number' && Number.isInteger(value));
}

function contains(actual: unknown, expected: unknown): boolean {
  if (typeof actual === 'string') return actual.includes(String(expected));
  return Array.isArray(actual) && actual.some((item) => isDeepStrictEqual(item, expected));
}

function thrownMessage(action: unknown): string | undefined {
  if (typeof action !== 'function') throw new ExpectationFailed('toThrow needs a function to call');
  try {
    action();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function matchesText(message: string, expected: string | RegExp | undefined): boolean {
  if (expected === undefined) return true;
  return typeof expected === 'string' ? message.includes(expected) : expected.test(message);
}

function show(value: unknown): string {
  if (
    typeof value === 'bigint' ||
    (typeof value === 'number' && Number.isInteger(value) && Math.abs(value) > 9)
  )
    return `${value} (0x${BigInt.asUintN(64, BigInt(value)).toString(16)})`;
  return inspect(value, { depth: 4, breakLength: 100 });
}
