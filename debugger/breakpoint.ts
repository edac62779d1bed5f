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
  /** Bytes that are watched; 1 for `execute`. */
  readonly size: number;
  /** Of `execute`, set by the processor's debug registers: `ba e1`. */
  readonly hardware: boolean;
  enabled: boolean;
  hits: number;
}

export type NewBreakpoint = Pick<Breakpoint, 'kind' | 'expression' | 'address'> &
  Partial<Pick<Breakpoint, 'size' | 'hardware'>>;

/** The breakpoints of a session; they outlive every return to the past. */
export class Breakpoints {
  readonly #list: Breakpoint[] = [];

  get all(): readonly Breakpoint[] {
    return this.#list;
  }

  /** Takes the lowest free number. */
  add({ size = 1, hardware = false, ...rest }: NewBreakpoint): Breakpoint {
    let id = 0;
    while (this.#list.some((other) => other.id === id)) id++;
    const breakpoint = { ...rest, id, size, hardware, enabled: true, hits: 0 };
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
    return this.#list.find(({ kind, address, enabled }) => enabled && kind === 'execute' && address === pc);
  }

  get addresses(): bigint[] {
    return this.#list.flatMap(({ kind, address, enabled }) =>
      enabled && kind === 'execute' && address !== undefined ? [address] : [],
    );
  }

  get watches(): Breakpoint[] {
    return this.#list.filter(
      ({ kind, address, enabled }) => enabled && kind !== 'execute' && address !== undefined,
    );
  }

  /** Tries again to find what the unresolved ones name. */
  resolve(find: (expression: string) => bigint | undefined): void {
    for (const breakpoint of this.#list) breakpoint.address ??= find(breakpoint.expression);
  }
}
