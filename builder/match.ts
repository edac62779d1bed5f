import { type CodeFunction, type Program, scopedName, type Variable } from './program.js';

/** Which function and which variable of the fixed build is which of the base. */
export interface Matching {
  readonly functions: Pairs<CodeFunction>;
  readonly variables: Pairs<Variable>;
}

/**
 * Which item of the base is which of the fixed build. Folding makes it many to one in either direction: several functions
 * of one build may lie at one place in the other.
 */
export class Pairs<T> {
  readonly #toFixed = new Map<T, T[]>();
  readonly #toBase = new Map<T, T[]>();
  readonly #why = new Map<T, string>();
  readonly #candidates = new Map<T, readonly T[]>();

  pair(base: T, fixed: T, why: string): void {
    if (this.#toFixed.get(base)?.includes(fixed)) return;
    push(this.#toFixed, base, fixed);
    push(this.#toBase, fixed, base);
    this.#why.set(fixed, why);
    this.#candidates.delete(base);
    this.#candidates.delete(fixed);
  }

  /** Several items that may be each other's counterpart. */
  tie(bases: readonly T[], fixeds: readonly T[]): void {
    for (const item of bases) if (!this.#toFixed.has(item)) this.#candidates.set(item, fixeds);
    for (const item of fixeds) if (!this.#toBase.has(item)) this.#candidates.set(item, bases);
  }

  fixedOf(base: T): T | undefined {
    return this.#toFixed.get(base)?.[0];
  }

  baseOf(fixed: T): T | undefined {
    return this.#toBase.get(fixed)?.[0];
  }

  fixedsOf(base: T): readonly T[] {
    return this.#toFixed.get(base) ?? [];
  }

  basesOf(fixed: T): readonly T[] {
    return this.#toBase.get(fixed) ?? [];
  }

  /** What made an item of the fixed build the counterpart of the base's. */
  whyOf(fixed: T): string | undefined {
    return this.#why.get(fixed);
  }

  /** Has it several possible counterparts? */
  isAmbiguous(item: T): boolean {
    return this.#candidates.has(item);
  }

  /** Of an ambiguous item: what of the other build it may be. */
  candidatesOf(item: T): readonly T[] {
    return this.#candidates.get(item) ?? [];
  }
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

/** Pairs by linker name; static ones by name and object, and failing that by a name that only one on each side has. */
export function matchPrograms(base: Program, fixed: Program): Matching {
  const named = (variable: Variable) => !variable.isNameless && !variable.isReference;
  const functions = matchByName(base.functions, fixed.functions);
  const variables = matchByName(base.variables.filter(named), fixed.variables.filter(named));
  matchByUsers(base, fixed, functions, variables);
  return { functions, variables };
}

type Item = CodeFunction | Variable;

function matchByName<T extends Item>(base: readonly T[], fixed: readonly T[]): Pairs<T> {
  const pairs = new Pairs<T>();
  // Names as in source come before decorated ones, so that `_f@8` and `_f@12` are one function whose signature changed.
  const keys: ((item: T) => string[])[] = [
    (item) => item.symbols.map((s) => (s.isStatic ? `${scopedName(s)}@${s.module}` : (s.rawName ?? s.name))),
    (item) => item.symbols.map((s) => (s.isStatic ? `${s.name}@${s.module}` : s.name)),
    (item) => [item.name],
  ];
  for (const key of keys) {
    const left = byKey(
      base.filter((item) => pairs.fixedOf(item) === undefined),
      key,
    );
    const right = byKey(
      fixed.filter((item) => pairs.baseOf(item) === undefined),
      key,
    );
    for (const [name, candidates] of left) {
      const others = right.get(name);
      const [first] = candidates;
      const [other] = others ?? [];
      if (first === undefined || other === undefined || others === undefined) continue;
      if (candidates.length > 1 || others.length > 1) {
        pairs.tie(candidates, others);
      } else if (pairs.fixedOf(first) === undefined && pairs.baseOf(other) === undefined) {
        pairs.pair(first, other, 'same name');
      }
    }
  }
  return pairs;
}

function byKey<T>(items: readonly T[], keys: (item: T) => string[]): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items)
    for (const key of new Set(keys(item))) {
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [item]);
      else group.push(item);
    }
  return groups;
}

/**
 * Static variables of one name in one object, and those whose name the compiler dropped, are told apart by the functions
 * that use them, directly or by `__ref_`.
 */
function matchByUsers(
  base: Program,
  fixed: Program,
  functions: Pairs<CodeFunction>,
  variables: Pairs<Variable>,
): void {
  const isOpen = (variable: Variable) =>
    variables.isAmbiguous(variable) || (variable.isNameless && variable.isMutable && variable.hasExactSize);
  const inBase = base.variables.filter(isOpen);
  const inFixed = fixed.variables.filter(isOpen);
  if (inBase.length === 0 || inFixed.length === 0) return;
  const baseUsers = usersOf(base, new Set(inBase), (code) => functions.fixedOf(code) ?? code);
  const fixedUsers = usersOf(fixed, new Set(inFixed), (code) => code);
  for (const item of inBase) {
    const overlap = (other: Variable) =>
      [...(baseUsers.get(item) ?? [])].filter((user) => fixedUsers.get(other)?.has(user)).length;
    const [best, second] = inFixed
      .filter((other) => mayBe(item, other) && variables.baseOf(other) === undefined)
      .map((other) => ({ other, score: overlap(other) }))
      .sort((a, b) => b.score - a.score);
    if (best === undefined || best.score === 0 || best.score === second?.score) continue;
    variables.pair(item, best.other, 'used by the same functions');
  }
}

function mayBe(a: Variable, b: Variable): boolean {
  if (a.isNameless || b.isNameless)
    return a.isNameless && b.isNameless && a.module === b.module && a.size === b.size;
  return a.name === b.name;
}

function usersOf(
  program: Program,
  wanted: ReadonlySet<Variable>,
  name: (code: CodeFunction) => CodeFunction,
): Map<Variable, Set<CodeFunction>> {
  const users = new Map<Variable, Set<CodeFunction>>();
  for (const code of program.functions)
    for (const { target } of program.stream(code).references) {
      const direct = program.variableAt(target);
      const variable = direct?.isReference ? program.variableAt(program.pointerTarget(direct.rva)) : direct;
      if (variable === undefined || !wanted.has(variable)) continue;
      users.set(variable, (users.get(variable) ?? new Set()).add(name(code)));
    }
  return users;
}
