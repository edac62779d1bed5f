import type { FindingInput } from '../unit.js';

/** What became of one case. */
export interface CaseResult {
  /** In a few words, the same for many cases. */
  readonly outcome: string;
  /** Rules that refused it, or a part of it. */
  readonly rules?: readonly string[];
  /** What must not be. */
  readonly problem?: { readonly rule: string; readonly message: string };
  /** What the code under test was given. */
  readonly input: FindingInput;
}

/** Makes the case of a number and tries it; the number alone decides what comes of it. */
export interface Fuzzer extends Disposable {
  run(number: number): CaseResult;
}

/** Of what was thrown: without its stack, which differs from machine to machine. */
export function textOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
