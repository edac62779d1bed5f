import type { Engine, Hook } from './unicorn/engine.js';
import { HOOK } from './unicorn/names.js';

/** Unused hooks that are kept because the next run will often want them again. */
const KEPT = 64;

const NONE: ReadonlySet<bigint> = new Set();

export function addressesOf(breakpoints: Iterable<bigint> | undefined): ReadonlySet<bigint> {
  if (breakpoints === undefined) return NONE;
  const addresses = new Set<bigint>();
  for (const address of breakpoints) addresses.add(BigInt.asUintN(64, address));
  return addresses.size === 0 ? NONE : addresses;
}

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

  use(armed: ReadonlySet<bigint>): void {
    if (armed === this.#armed) return;
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
