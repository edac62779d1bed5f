import type { Engine, Hook } from './unicorn/engine.js';
import { HOOK } from './unicorn/names.js';

/** Unused hooks that are kept because the next run will often want them again. */
const KEPT = 64;

const NONE: ReadonlySet<bigint> = new Set();

/** The addresses at which a run stops. Hooks stay in the engine between runs, since adding one costs a flush. */
export class Breakpoints {
  static readonly TAG = 1;
  readonly #engine: Engine;
  readonly #hooks = new Map<bigint, Hook>();
  #armed = NONE;
  #passing: bigint | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  use(addresses: Iterable<bigint> | undefined): void {
    if (addresses === undefined) {
      this.#armed = NONE;
      return;
    }
    const armed = new Set<bigint>();
    for (const address of addresses) armed.add(BigInt.asUintN(64, address));
    this.#armed = armed;
    let isNew = false;
    for (const address of armed) {
      if (this.#hooks.has(address)) continue;
      isNew = true;
      this.#hooks.set(
        address,
        this.#engine.addHook(HOOK.instruction, Breakpoints.TAG, { first: address, last: address }),
      );
    }
    if (!isNew) return;
    this.#discardUnused();
    this.#engine.forgetAllCode();
  }

  #discardUnused(): void {
    let excess = this.#hooks.size - this.#armed.size - KEPT;
    for (const [address, hook] of this.#hooks) {
      if (excess <= 0) return;
      if (this.#armed.has(address)) continue;
      hook[Symbol.dispose]();
      this.#hooks.delete(address);
      excess -= 1;
    }
  }

  has(address: bigint): boolean {
    return this.#armed.has(address);
  }

  /** `passing`: the address that the next hit is to pass over. */
  begin(passing: bigint | undefined): void {
    this.#passing = passing;
  }

  stopsAt(address: bigint): boolean {
    if (!this.#armed.has(address)) return false;
    const isPassing = this.#passing === address;
    this.#passing = undefined;
    return !isPassing;
  }
}
