/**
 * Set-up file of the tests that hunt mutants: `__m(id)` says whether a mutant is active, and so do the operators that
 * stand for `<`, `===`, `+`…
 */
type Value = number | bigint;

export interface MutantSwitch {
  (id: number): boolean;
  lt(id: number, a: Value, b: Value): boolean;
  le(id: number, a: Value, b: Value): boolean;
  gt(id: number, a: Value, b: Value): boolean;
  ge(id: number, a: Value, b: Value): boolean;
  eq(id: number, a: unknown, b: unknown): boolean;
  ne(id: number, a: unknown, b: unknown): boolean;
  add(id: number, a: number, b: number): number;
  sub(id: number, a: number, b: number): number;
  /** The mutant that is active; -1: none. */
  active: number;
  /** Mutants that were reached since it was emptied. */
  readonly reached: Set<number>;
  /** Date.now() after which a mutant is taken to run for ever. */
  deadline: number;
}

declare global {
  var __m: MutantSwitch;
}

const CALLS_BETWEEN_LOOKS_AT_THE_CLOCK = 0x400;
let calls = 0;

const isActive = (id: number): boolean => {
  const { __m: mutants } = globalThis;
  if (mutants.active < 0) mutants.reached.add(id);
  else if (++calls % CALLS_BETWEEN_LOOKS_AT_THE_CLOCK === 0 && Date.now() > mutants.deadline)
    throw new Error('the mutant runs for ever');
  return id === mutants.active;
};

globalThis.__m = Object.assign(isActive, {
  lt: (id: number, a: Value, b: Value) => (isActive(id) ? a <= b : a < b),
  le: (id: number, a: Value, b: Value) => (isActive(id) ? a < b : a <= b),
  gt: (id: number, a: Value, b: Value) => (isActive(id) ? a >= b : a > b),
  ge: (id: number, a: Value, b: Value) => (isActive(id) ? a > b : a >= b),
  eq: (id: number, a: unknown, b: unknown) => (isActive(id) ? a !== b : a === b),
  ne: (id: number, a: unknown, b: unknown) => (isActive(id) ? a === b : a !== b),
  add: (id: number, a: number, b: number) => (isActive(id) ? a - b : a + b),
  sub: (id: number, a: number, b: number) => (isActive(id) ? a + b : a - b),
  active: Number(process.env.HOTPATCH_MUTANT ?? -1),
  reached: new Set<number>(),
  deadline: Number.POSITIVE_INFINITY,
});
