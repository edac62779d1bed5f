import { DebugError } from './error.js';

export type BreakpointKind = 'execute' | 'write' | 'access';

/** A place to stop at. `execute`: before the instruction there. `write`, `access`: after one that touches the bytes. */
export interface Breakpoint {
  readonly id: number;
  readonly kind: BreakpointKind;
  /** As it was typed; what it names may be loaded later. */
  readonly expression: string;
  /** Undefined until the module that `expression` names is loaded. */
  address: bigint | undefined;
  /** Further places of a source line: inlined copies, and the same line in a patch image. */
  also: readonly bigint[];
  /** An expression: it counts only where this is not zero. */
  readonly condition: string | undefined;
  /** What the prompt does when it is hit: commands, separated by `;`. */
  readonly commands: string | undefined;
  /** It goes away when it is hit. */
  readonly isOneShot: boolean;
  /** Bytes that are watched; 1 for `execute`. */
  readonly size: number;
  /** Of `execute`, set by the processor's debug registers: `ba e1`. */
  readonly hardware: boolean;
  enabled: boolean;
  hits: number;
}

export type NewBreakpoint = Pick<Breakpoint, 'kind' | 'expression' | 'address'> &
  Partial<Pick<Breakpoint, 'size' | 'hardware' | 'condition' | 'commands' | 'isOneShot'>>;

/** The breakpoints of a session; they outlive every return to the past. */
export class Breakpoints {
  readonly #list: Breakpoint[] = [];

  get all(): readonly Breakpoint[] {
    return this.#list;
  }

  /** Takes the lowest free number. */
  add({
    size = 1,
    hardware = false,
    isOneShot = false,
    condition,
    commands,
    ...rest
  }: NewBreakpoint): Breakpoint {
    let id = 0;
    while (this.#list.some((other) => other.id === id)) id++;
    const breakpoint: Breakpoint = {
      ...rest,
      id,
      size,
      hardware,
      condition,
      commands,
      isOneShot,
      also: [],
      enabled: true,
      hits: 0,
    };
    this.#list.push(breakpoint);
    this.#list.sort((a, b) => a.id - b.id);
    return breakpoint;
  }

  get(id: number): Breakpoint {
    const breakpoint = this.#list.find((candidate) => candidate.id === id);
    if (breakpoint === undefined) throw new DebugError(`there is no breakpoint ${id}; bl lists them`);
    return breakpoint;
  }

  remove(breakpoint: Breakpoint): void {
    const index = this.#list.indexOf(breakpoint);
    if (index >= 0) this.#list.splice(index, 1);
  }

  clear(): void {
    this.#list.length = 0;
  }

  at(pc: bigint): Breakpoint | undefined {
    return this.#list.find(
      ({ kind, address, also, enabled }) =>
        enabled && kind === 'execute' && (address === pc || also.includes(pc)),
    );
  }

  get addresses(): bigint[] {
    return this.#list.flatMap(({ kind, address, also, enabled }) =>
      enabled && kind === 'execute' && address !== undefined ? [address, ...also] : [],
    );
  }

  get watches(): Breakpoint[] {
    return this.#list.filter(
      ({ kind, address, enabled }) => enabled && kind !== 'execute' && address !== undefined,
    );
  }

  /** Tries again to find what the unresolved ones name, and the code of source lines in modules that have come since. */
  resolve(find: (expression: string) => readonly bigint[]): void {
    for (const breakpoint of this.#list) {
      if (breakpoint.kind !== 'execute' && breakpoint.address !== undefined) continue;
      const places = find(breakpoint.expression);
      // A name is what it was when it was found; a line may have code, or nearer code, in a module that comes later.
      if (!breakpoint.expression.startsWith('`')) breakpoint.address ??= places[0];
      else [breakpoint.address, ...breakpoint.also] = places;
    }
  }
}
