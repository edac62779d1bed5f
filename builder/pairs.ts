/**
 * Which item of the base is which of the fixed build. Folding makes it many to one in either direction: several functions
 * of one build may lie at one place in the other.
 */
export class Pairs<T> {
  readonly #toFixed = new Map<T, T[]>();
  readonly #toBase = new Map<T, T[]>();
  readonly #why = new Map<T, string>();
  readonly #maybeFixed = new Map<T, Set<T>>();
  readonly #maybeBase = new Map<T, Set<T>>();

  pair(base: T, fixed: T, why: string): void {
    if (this.#toFixed.get(base)?.includes(fixed)) return;
    push(this.#toFixed, base, fixed);
    push(this.#toBase, fixed, base);
    this.#why.set(fixed, why);
  }

  /** Several items that may be each other's counterpart. */
  tie(bases: readonly T[], fixeds: readonly T[]): void {
    for (const base of bases)
      for (const fixed of fixeds) {
        this.#maybeFixed.set(base, (this.#maybeFixed.get(base) ?? new Set()).add(fixed));
        this.#maybeBase.set(fixed, (this.#maybeBase.get(fixed) ?? new Set()).add(base));
      }
  }

  /** The counterpart in the fixed build; of several the first. */
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

  isPair(base: T, fixed: T): boolean {
    return this.#toFixed.get(base)?.includes(fixed) === true;
  }

  /** What made an item of the fixed build the counterpart of the base's. */
  whyOf(fixed: T): string | undefined {
    return this.#why.get(fixed);
  }

  /** Has it no counterpart, but several items that may be? */
  isAmbiguous(item: T): boolean {
    return this.candidatesOf(item).length > 0;
  }

  /** Of an item without a counterpart: what of the other build may be it. */
  candidatesOf(item: T): readonly T[] {
    if (this.#toFixed.has(item) || this.#toBase.has(item)) return [];
    return [
      ...[...(this.#maybeFixed.get(item) ?? [])].filter((other) => !this.#toBase.has(other)),
      ...[...(this.#maybeBase.get(item) ?? [])].filter((other) => !this.#toFixed.has(other)),
    ];
  }
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}
