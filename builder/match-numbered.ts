import { decoratedScope, isGuard, isPart, sourceName, stemOf } from './identity.js';
import type { Pairs } from './pairs.js';
import type { CodeFunction, Program, Variable } from './program.js';

type Item = CodeFunction | Variable;

/**
 * Functions whose names the compiler numbers: lambdas, outlined parts, copies. Those with the same instructions are the
 * same; of the others one on each side is one, and several are ambiguous.
 */
export function matchNumbered(base: Program, fixed: Program, functions: Pairs<CodeFunction>): void {
  const left = byStem(base.functions.filter((code) => functions.fixedOf(code) === undefined));
  const right = byStem(fixed.functions.filter((code) => functions.baseOf(code) === undefined));
  for (const [stem, candidates] of left) {
    const others = right.get(stem);
    if (others === undefined) continue;
    if (candidates.length === 1 && others.length === 1) {
      pairFirst(functions, candidates, others, 'the only one of this name');
      continue;
    }
    const open = [...others];
    const rest = candidates.filter((code) => {
      const text = contentOf(base, code);
      const at = open.findIndex((other) => contentOf(fixed, other) === text);
      const found = open[at];
      if (found === undefined) return true;
      open.splice(at, 1);
      functions.pair(code, found, 'same instructions; its name is numbered by the compiler');
      return false;
    });
    const isSameCount = candidates.length === others.length;
    if (isSameCount && rest.length === 1 && open.length === 1 && rest[0]?.name === open[0]?.name)
      pairFirst(functions, rest, open, 'the only one of these names that differs');
    else if (rest.length > 0 && open.length > 0) functions.tie(rest, open);
  }
}

function pairFirst<T>(pairs: Pairs<T>, [base]: readonly T[], [fixed]: readonly T[], why: string): void {
  if (base !== undefined && fixed !== undefined) pairs.pair(base, fixed, why);
}

function byStem<T extends Item>(items: readonly T[]): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = stemKey(item);
    if (key === undefined) continue;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}

function stemKey({ symbols }: Item): string | undefined {
  const [symbol] = symbols.filter(({ name }) => !name.startsWith('.'));
  if (symbol === undefined) return undefined;
  const stem = stemOf(symbol.rawName ?? symbol.name);
  return symbol.isStatic ? `${stemOf(sourceName(symbol))} of ${symbol.module ?? '?'}` : stem;
}

/** The instructions without what depends on where things lie, and the names of what they refer to. */
function contentOf(program: Program, code: CodeFunction): string {
  return program
    .stream(code)
    .instructions.map(
      ({ bytes, branch = '', references }) =>
        `${[...bytes].join()} ${branch} ${references.map(({ target }) => stemOf(program.describe(target)).replace(/^\+.*/, '')).join()}`,
    )
    .join('\n');
}

/**
 * Variables that names do not settle: several statics of one name, those that the compiler numbers or leaves without a
 * name. Told apart by the code of unchanged functions, which uses them at the same places; by the functions that use
 * them; by object, size, section and initial value. A tie stays ambiguous.
 */
export function matchVariables(
  base: Program,
  fixed: Program,
  { functions, variables }: { functions: Pairs<CodeFunction>; variables: Pairs<Variable> },
): void {
  const isOpen = (variable: Variable) => variable.isMutable && !variable.isReference;
  const left = base.variables.filter((item) => isOpen(item) && variables.fixedOf(item) === undefined);
  const right = fixed.variables.filter((item) => isOpen(item) && variables.baseOf(item) === undefined);
  if (left.length === 0 || right.length === 0) return;
  pairByPlaces(base, fixed, functions, variables, { left: new Set(left), right: new Set(right) });
  const openLeft = left.filter((item) => variables.fixedOf(item) === undefined);
  const openRight = right.filter((item) => variables.baseOf(item) === undefined);
  const facts = new VariableFacts(base, fixed, functions, [...openLeft, ...openRight]);
  pairByFacts(openLeft, openRight, variables, facts);
  tieOptimised(openLeft, openRight, variables, facts);
}

/** Votes of functions that are the same in both builds but for where things lie: what they use at one place is one thing. */
function pairByPlaces(
  base: Program,
  fixed: Program,
  functions: Pairs<CodeFunction>,
  variables: Pairs<Variable>,
  open: { readonly left: ReadonlySet<Variable>; readonly right: ReadonlySet<Variable> },
): void {
  const votes = new Map<Variable, Set<Variable>>();
  const against = new Map<Variable, Set<Variable>>();
  const vote = (to: Map<Variable, Set<Variable>>, from: Variable, other: Variable) =>
    to.set(from, (to.get(from) ?? new Set()).add(other));
  for (const code of fixed.functions) {
    const original = functions.baseOf(code);
    if (original === undefined || !isSameShape(base, fixed, original, code)) continue;
    const before = base.stream(original).references;
    for (const [i, { target }] of fixed.stream(code).references.entries()) {
      const from = base.place(before[i]?.target ?? -1);
      const to = fixed.place(target);
      if (from.kind !== 'variable' || to.kind !== 'variable' || from.offset !== to.offset) continue;
      vote(votes, from.variable, to.variable);
      vote(against, to.variable, from.variable);
    }
  }
  for (const [variable, others] of votes) {
    const [other] = others;
    if (other === undefined || others.size > 1 || against.get(other)?.size !== 1) continue;
    if (open.left.has(variable) && open.right.has(other) && mayBeOne(variable, other))
      variables.pair(variable, other, 'unchanged functions use it at the same places');
  }
}

function isSameShape(base: Program, fixed: Program, before: CodeFunction, after: CodeFunction): boolean {
  const { masked, instructions: left } = base.stream(before);
  const { masked: others, instructions: right } = fixed.stream(after);
  return (
    left.length === right.length &&
    masked.length === others.length &&
    masked.every((byte, at) => byte === others[at]) &&
    left.every((instruction, i) => {
      const other = right[i];
      return (
        other !== undefined &&
        instruction.branch === other.branch &&
        instruction.length === other.length &&
        instruction.references.length === other.references.length
      );
    })
  );
}

/** Could they be one, by what is known without looking at code? */
function mayBeOne(a: Variable, b: Variable): boolean {
  if (a.hasExactSize && b.hasExactSize && a.size !== b.size) return false;
  if (a.isMutable !== b.isMutable || a.isThreadLocal !== b.isThreadLocal) return false;
  return a.module === undefined || b.module === undefined || a.module === b.module || !a.isStatic;
}

function pairByFacts(
  left: readonly Variable[],
  right: readonly Variable[],
  variables: Pairs<Variable>,
  facts: VariableFacts,
): void {
  const groups = candidateGroups(left, right);
  for (const { bases, fixeds } of groups) {
    const open = () => ({
      bases: bases.filter((item) => variables.fixedOf(item) === undefined),
      fixeds: fixeds.filter((item) => variables.baseOf(item) === undefined),
    });
    const score = (a: Variable, b: Variable) => facts.score(a, b);
    const [only, second] = bases;
    const [other, another] = fixeds;
    if (only === undefined || other === undefined) continue;
    const isKnown = [...bases, ...fixeds].every((item) => !isUnknown(item) && facts.isSameGuard(item, other));
    if (isKnown && second === undefined && another === undefined && mayBeOne(only, other)) {
      variables.pair(only, other, 'the only one of this name');
      continue;
    }
    if (!isKnown && facts.areSameParts(bases, fixeds)) {
      bases.forEach((item, i) => void variables.pair(item, fixeds[i] ?? item, SAME_PARTS));
      continue;
    }
    for (const item of isKnown ? bases : []) {
      const now = open();
      const best = uniqueBest(now.fixeds, (candidate) => score(item, candidate));
      if (best === undefined || variables.fixedOf(item) !== undefined) continue;
      if (uniqueBest(now.bases, (candidate) => score(candidate, best)) === item)
        variables.pair(item, best, 'same name, object, size and first value');
    }
    const rest = open();
    if (rest.bases.length > 0 && rest.fixeds.length > 0) variables.tie(rest.bases, rest.fixeds);
  }
}

/** Why parts of a split variable are taken for the same members: a guess, which `variable.optimised` is about. */
export const SAME_PARTS = 'as many nameless parts on each side, used by the same functions';

/**
 * Whatever of a structure the optimiser has kept, and the guards of static initialisers, where no map names them. Which member
 * it is, neither a number nor a place tells: only unchanged code does.
 */
function isUnknown({ isNameless, symbols }: Variable): boolean {
  return isNameless || symbols.every(isPart);
}

/** What the optimiser has split or shrunk in one build only has a name in the other. */
function tieOptimised(
  left: readonly Variable[],
  right: readonly Variable[],
  variables: Pairs<Variable>,
  facts: VariableFacts,
): void {
  const openLeft = left.filter((item) => variables.fixedOf(item) === undefined);
  const openRight = right.filter((item) => variables.baseOf(item) === undefined);
  for (const before of openLeft)
    for (const after of openRight)
      if (
        before.isNameless !== after.isNameless &&
        before.module === after.module &&
        before.isThreadLocal === after.isThreadLocal &&
        facts.hasCommonUser(before, after)
      )
        variables.tie([before], [after]);
}

/** Named ones of one stem and object; nameless ones of one object. */
function candidateGroups(
  left: readonly Variable[],
  right: readonly Variable[],
): { bases: Variable[]; fixeds: Variable[] }[] {
  const key = (item: Variable) =>
    item.isNameless ? (item.hasExactSize ? `nameless ${item.module}` : undefined) : stemKey(item);
  const groups = new Map<string, { bases: Variable[]; fixeds: Variable[] }>();
  const add = (side: 'bases' | 'fixeds', item: Variable) => {
    const name = key(item);
    if (name === undefined) return;
    const group = groups.get(name) ?? { bases: [], fixeds: [] };
    group[side].push(item);
    groups.set(name, group);
  };
  for (const item of left) add('bases', item);
  for (const item of right) add('fixeds', item);
  return [...groups.values()].filter(({ bases, fixeds }) => bases.length > 0 && fixeds.length > 0);
}

function uniqueBest<T>(items: readonly T[], score: (item: T) => number): T | undefined {
  const [best, second] = items
    .map((item) => ({ item, score: score(item) }))
    .filter((entry) => entry.score > 0)
    .sort((a, b) => b.score - a.score);
  return best === undefined || best.score === second?.score ? undefined : best.item;
}

/** What is known of open variables: their first bytes, and which functions use them, directly or by `__ref_`. */
class VariableFacts {
  readonly #users = new Map<Variable, Set<CodeFunction>>();

  constructor(
    private readonly base: Program,
    private readonly fixed: Program,
    functions: Pairs<CodeFunction>,
    wanted: readonly Variable[],
  ) {
    const open = new Set(wanted);
    this.#collect(base, open, (code) => functions.fixedOf(code) ?? code);
    this.#collect(fixed, open, (code) => code);
  }

  /** 0: they cannot be one. Each common user counts for more than the first value. */
  score(before: Variable, after: Variable): number {
    if (!mayBeOne(before, after)) return 0;
    const isSameValue = firstBytes(this.base, before) === firstBytes(this.fixed, after);
    return 2 * this.#commonUsers(before, after) + (isSameValue ? 1 : 0);
  }

  hasCommonUser(before: Variable, after: Variable): boolean {
    return this.#commonUsers(before, after) > 0;
  }

  /** Are there as many on each side, of the same sizes and first values, used by the same functions? */
  areSameParts(bases: readonly Variable[], fixeds: readonly Variable[]): boolean {
    return (
      bases.length === fixeds.length &&
      bases.every((before, i) => {
        const after = fixeds[i];
        if (after === undefined || !mayBeOne(before, after) || !this.isSameGuard(before, after)) return false;
        const [users, others] = [this.#users.get(before), this.#users.get(after)];
        const isUsedAlike =
          users !== undefined &&
          users.size === others?.size &&
          users.size === this.#commonUsers(before, after);
        return isUsedAlike && firstBytes(this.base, before) === firstBytes(this.fixed, after);
      })
    );
  }

  /** Of a guard: has its function the same static locals in both builds, in the same order? True for anything else. */
  isSameGuard({ symbols }: Variable, { module }: Variable): boolean {
    const guard = symbols.find(isGuard);
    const scope = guard && decoratedScope(guard);
    if (scope === undefined) return guard === undefined;
    const [before, after] = [this.base, this.fixed].map((program) => staticsOf(program, scope, module));
    return before === after;
  }

  #commonUsers(before: Variable, after: Variable): number {
    const others = this.#users.get(after);
    return [...(this.#users.get(before) ?? [])].filter((user) => others?.has(user)).length;
  }

  #collect(program: Program, open: ReadonlySet<Variable>, name: (code: CodeFunction) => CodeFunction): void {
    for (const code of program.functions)
      for (const { target } of program.stream(code).references) {
        const direct = program.variableAt(target);
        const variable = direct?.isReference ? program.variableAt(program.pointerTarget(direct.rva)) : direct;
        if (variable === undefined || !open.has(variable)) continue;
        this.#users.set(variable, (this.#users.get(variable) ?? new Set()).add(name(code)));
      }
  }
}

/** The static locals of a function in the order in which the compiler met them: that of their addresses. */
function staticsOf(program: Program, scope: string, module: string | undefined): string {
  return program.variables
    .filter((variable) => variable.isMutable && !variable.isReference && variable.module === module)
    .flatMap(({ symbols }) =>
      symbols.filter((symbol) => !isGuard(symbol) && decoratedScope(symbol) === scope),
    )
    .map(({ name, rawName = name }) => stemOf(rawName))
    .join();
}

function firstBytes({ image }: Program, { rva, size }: Variable): string {
  return [...image.read(rva, Math.min(size, 256))].join();
}
