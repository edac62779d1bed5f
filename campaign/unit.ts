import { createHash } from 'node:crypto';

export type Json =
  | string
  | number
  | boolean
  | null
  | readonly Json[]
  | { readonly [name: string]: Json | undefined };

/** A piece of work that takes seconds: a pure function of this description. The same unit has the same outcome anywhere. */
export interface Unit {
  /** Which kind of work: a key of {@link KINDS}. */
  readonly kind: string;
  readonly [name: string]: Json | undefined;
}

/** A file that units need. It travels by its contents. */
export type FileReference = {
  /** As the plan names it, without its folder. */
  readonly name: string;
  /** SHA-256 in hex. */
  readonly sha256: string;
  /** In bytes. */
  readonly size: number;
};

/** What is wrong, with the smallest unit that shows it. */
export interface Finding {
  readonly rule: string;
  readonly message: string;
  readonly unit: Unit;
  /** What the code under test was given, where it was made from the unit. */
  readonly inputs: readonly FindingInput[];
}

export interface FindingInput {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** What came of a unit. Nothing in it depends on the machine, or on the time it took. */
export interface Outcome {
  /** How many cases were tried. */
  readonly cases: number;
  /** By what became of them. */
  readonly counts: Readonly<Record<string, number>>;
  readonly findings: readonly Finding[];
}

/** Where a unit counts in the report's matrix. */
export interface Cell {
  readonly row: string;
  readonly column: string;
}

/** Equal for equal values, whatever the order of their members: keys sorted, no spaces, members that are undefined left out. */
export function canonicalJson(value: Json | undefined): string {
  if (value === undefined || value === null) return 'null';
  if (typeof value !== 'object') return JSON.stringify(value);
  if (isList(value)) return `[${value.map(canonicalJson).join()}]`;
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`);
  return `{${members.join()}}`;
}

const isList = (value: Json): value is readonly Json[] => Array.isArray(value);

/** 16 hexadecimal digits that name a unit: the start of the SHA-256 of its canonical JSON. */
export function unitId(unit: Unit): string {
  return sha256(canonicalJson(unit)).slice(0, 16);
}

/** 16 hexadecimal digits that name a finding, by its rule and the smallest unit that shows it. */
export function findingId({ rule, unit }: Pick<Finding, 'rule' | 'unit'>): string {
  return sha256(`${rule}\n${canonicalJson(unit)}`).slice(0, 16);
}

export function sha256(contents: Uint8Array | string): string {
  return createHash('sha256').update(contents).digest('hex');
}

/** Counts cases by what became of them, and keeps what is wrong. */
export class Tally {
  #cases = 0;
  readonly #counts = new Map<string, number>();
  readonly #findings: Finding[] = [];

  count(what: string, times = 1): void {
    this.#cases += times;
    this.note(what, times);
  }

  /** Counts something that is not a case. */
  note(what: string, times = 1): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + times);
  }

  find(rule: string, message: string, unit: Unit, inputs: readonly FindingInput[] = []): void {
    this.#findings.push({ rule, message, unit, inputs });
  }

  add({ cases, counts, findings }: Outcome): void {
    this.#cases += cases;
    for (const [what, times] of Object.entries(counts)) this.note(what, times);
    this.#findings.push(...findings);
  }

  /** Counts sorted by name. */
  get outcome(): Outcome {
    const counts = Object.fromEntries([...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1)));
    return { cases: this.#cases, counts, findings: [...this.#findings] };
  }
}
