import { linkerName, sourceName, stemOf } from './identity.js';
import { matchNumbered, matchVariables } from './match-numbered.js';
import { Pairs } from './pairs.js';
import type { CodeFunction, Program, Variable } from './program.js';

/** Which function and which variable of the fixed build is which of the base. */
export interface Matching {
  readonly functions: Pairs<CodeFunction>;
  readonly variables: Pairs<Variable>;
}

/** Two names, or places such as `+0x3004`, that somebody says are one thing. */
export interface NamedPair {
  readonly base: string;
  readonly fixed: string;
}

/**
 * Pairs what the two builds have: by linker name; what only its own object file sees by name and object; what the compiler
 * numbers or leaves without a name by its contents and by the code that uses it. What stays open is ambiguous.
 */
export function matchPrograms(base: Program, fixed: Program, given: readonly NamedPair[] = []): Matching {
  const functions = new Pairs<CodeFunction>();
  const variables = new Pairs<Variable>();
  pairGiven(base.functions, fixed.functions, functions, given);
  pairGiven(base.variables, fixed.variables, variables, given);
  const named = ({ isNameless, isReference }: Variable) => !isNameless && !isReference;
  const modules = { base: modulesOf(base), fixed: modulesOf(fixed) };
  matchByName(base.functions, fixed.functions, functions, modules);
  matchByName(base.variables.filter(named), fixed.variables.filter(named), variables, modules);
  matchNumbered(base, fixed, functions);
  matchVariables(base, fixed, { functions, variables });
  return { functions, variables };
}

type Item = CodeFunction | Variable;

/** The items of one name or place. */
export function itemsAt<T extends Item>(items: readonly T[], text: string): T[] {
  const place = /^\+(0x[0-9a-f]+)$/i.exec(text)?.[1];
  if (place !== undefined) return items.filter(({ rva }) => rva === Number(place));
  return items.filter(({ symbols }) =>
    symbols.some((symbol) =>
      [symbol.name, symbol.rawName, sourceName(symbol), linkerName(symbol)].includes(text),
    ),
  );
}

function pairGiven<T extends Item>(
  base: readonly T[],
  fixed: readonly T[],
  pairs: Pairs<T>,
  given: readonly NamedPair[],
): void {
  for (const { base: from, fixed: to } of given) {
    const [left, ...others] = itemsAt(base, from);
    const [right, ...more] = itemsAt(fixed, to);
    if (left !== undefined && right !== undefined && others.length === 0 && more.length === 0)
      pairs.pair(left, right, 'named with --pair');
  }
}

function modulesOf({ source }: Program): ReadonlySet<string> {
  return new Set(source.symbols.all.flatMap(({ module }) => module ?? []));
}

interface NamedItem<T> {
  readonly symbol: T extends Item ? T['symbols'][number] : never;
  readonly item: T;
}

interface Modules {
  readonly base: ReadonlySet<string>;
  readonly fixed: ReadonlySet<string>;
}

/** From the strictest reading of a name to the loosest; each is asked only about what the ones before left. */
function keysOf(modules: Modules): readonly ((symbol: NamedItem<Item>['symbol']) => string | undefined)[] {
  const isGone = (module: string | undefined) =>
    module === undefined || !modules.base.has(module) || !modules.fixed.has(module);
  return [
    (symbol) => linkerName(symbol),
    // `_f@8` and `_f@12` are one function whose signature changed.
    (symbol) => (symbol.isStatic ? undefined : symbol.name),
    // Made static, or visible to others, in its own object file.
    (symbol) => (symbol.module === undefined ? undefined : `${sourceName(symbol)} of ${symbol.module}`),
    // An object file that has another name in the other build.
    (symbol) => (symbol.isStatic && isGone(symbol.module) ? sourceName(symbol) : undefined),
  ];
}

function matchByName<T extends Item>(
  base: readonly T[],
  fixed: readonly T[],
  pairs: Pairs<T>,
  modules: Modules,
): void {
  let left = namedItems(base, (item) => pairs.fixedOf(item) === undefined);
  let right = namedItems(fixed, (item) => pairs.baseOf(item) === undefined);
  for (const key of keysOf(modules)) {
    const before = grouped(left, key);
    const after = grouped(right, key);
    const settled = new Set<object>();
    for (const [name, candidates] of before) {
      const others = after.get(name);
      if (others === undefined) continue;
      for (const { symbol } of [...candidates, ...others]) settled.add(symbol);
      const items = [...new Set(candidates.map(({ item }) => item))];
      const counterparts = [...new Set(others.map(({ item }) => item))];
      const [first, second] = items;
      const [other, another] = counterparts;
      if (first === undefined || other === undefined) continue;
      if (second === undefined && another === undefined) pairs.pair(first, other, 'same name');
      else pairs.tie(items, counterparts);
    }
    left = left.filter(({ symbol }) => !settled.has(symbol));
    right = right.filter(({ symbol }) => !settled.has(symbol));
  }
}

/** Names that compilers number are left out: see `matchNumbered`. */
function namedItems<T extends Item>(items: readonly T[], isOpen: (item: T) => boolean): NamedItem<T>[] {
  return items
    .filter(isOpen)
    .flatMap((item) =>
      item.symbols
        .filter((symbol) => !symbol.name.startsWith('.') && !isNumbered(symbol))
        .map((symbol) => ({ symbol: symbol as NamedItem<T>['symbol'], item })),
    );
}

function isNumbered({ name, rawName = name, isStatic }: Item['symbols'][number]): boolean {
  return stemOf(name) !== name || (!isStatic && stemOf(rawName) !== rawName);
}

function grouped<T extends Item>(
  items: readonly NamedItem<T>[],
  key: (symbol: NamedItem<Item>['symbol']) => string | undefined,
): Map<string, NamedItem<T>[]> {
  const groups = new Map<string, NamedItem<T>[]>();
  for (const named of items) {
    const name = key(named.symbol);
    if (name === undefined) continue;
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [named]);
    else group.push(named);
  }
  return groups;
}
