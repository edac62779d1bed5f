import type { Kernel } from '../../loader/index.js';
import { HotPatchError, threadsStandingIn } from '../core/index.js';
import {
  type Application2003,
  type AppliedHook,
  changeApplication2003,
  changeHook,
  type PatchList,
} from './patch.js';
import type { Swap } from './swap.js';

/**
 * What the places of one module's hooks hold. Nothing is remembered from operation to operation but which hotpatches are
 * in force and which hooks were left: the bytes of each place are those of the module's file, over them those of the
 * hotpatches in force that have a hook there, oldest first. A hook of a disabled hotpatch stays as long as a thread
 * stands where it reads it.
 */
export class Chain {
  readonly #list: readonly Application2003[];

  constructor(
    lists: PatchList,
    private readonly application: Application2003,
  ) {
    this.#list = lists.of(application.target);
  }

  /** Hooks of disabled hotpatches that are there still, but for those that the application's own cover. */
  get left(): AppliedHook[] {
    const { hooks } = this.application;
    return this.#list
      .flatMap((one) => one.hooks.filter(({ left }) => left))
      .filter(
        ({ location, bytes }) =>
          !hooks.some((own) => own.location === location && own.bytes.length >= bytes.length),
      );
  }

  /** The stores that put the application in force, in the order of its hooks. */
  enabling(): Swap[] {
    const { application } = this;
    const clear = this.left.reverse().map((hook) => this.#restoring(hook));
    return [
      ...clear,
      ...application.hooks.map((hook): Swap => {
        if (hook.pristine === undefined && this.#below(hook) === undefined)
          changeHook(hook, { dataBefore: this.#read(hook) });
        const isOverJump = this.#list.some((one) =>
          one.hooksInForce.some((other) => isJumpOf(other) && other.location === hook.location),
        );
        return {
          ...this.#swap(hook, hook.bytes),
          unsafe: isOverJump || hook.isOverColdpatch ? [] : hook.unsafe,
          settled: () => this.#cleared(hook, false),
        };
      }),
    ];
  }

  /** The stores that take it out, last one first, and those of hooks that were left before. */
  disabling(): Swap[] {
    const { application } = this;
    const own = [...application.hooks].reverse().map((hook) => this.#restoring(hook));
    return [...own, ...this.left.reverse().map((hook) => this.#restoring(hook))];
  }

  /** The stores of hooks that were left before, and nothing else. */
  clearing(): Swap[] {
    return this.#list
      .flatMap((one) => one.hooks.filter(({ left }) => left))
      .reverse()
      .map((hook) => this.#restoring(hook));
  }

  /** How every hook of the module is to be taken back to where it is now. */
  snapshot(): () => void {
    const known = this.#list.flatMap(({ hooks }) => hooks.map((hook) => ({ hook, ...hook })));
    const { active } = this.application;
    return () => {
      for (const { hook, left, dataBefore } of known) changeHook(hook, { left, dataBefore });
      changeApplication2003(this.application, active);
    };
  }

  /** A newer hotpatch in force whose hooks lie over those of the application: the newest goes first. */
  refuseCovered(): void {
    const { patch, target, hooks } = this.application;
    const newer = this.#list
      .slice(this.#list.indexOf(this.application) + 1)
      .find((one) => one.active && one.hooks.some((over) => hooks.some((hook) => overlap(hook, over))));
    if (newer === undefined) return;
    throw new HotPatchError({
      rule: 'chain.covered',
      status: 'STATUS_REQUEST_OUT_OF_SEQUENCE',
      image: patch.name,
      message: `${newer.patch.name} was applied over its hooks in ${target.baseDllName} and is in force`,
      hint: `disable ${newer.patch.name} first`,
    });
  }

  /**
   * Modelled: a hook may take the place of an older hotpatch's only if it is of the same kind and serves the same functions.
   * Else a function that this hotpatch does not cover, or a thread that stands at the older jump, would be led into a
   * routine that is not its own, or into the rest of an instruction.
   */
  refuseShared(kernel: Kernel, isSparing: boolean): void {
    for (const other of this.#list) {
      if (other === this.application) continue;
      const inUse = other.hooks.filter(
        (hook) => other.active || (hook.left && isOccupied(kernel, other, hook)),
      );
      for (const older of inUse)
        for (const hook of this.application.hooks)
          if (overlap(hook, older) && !this.#replaces(hook, older, isSparing))
            throw this.#conflict(hook, older, other);
    }
  }

  #replaces(hook: AppliedHook, older: AppliedHook, isSparing: boolean): boolean {
    // As documented: nobody looks at threads, and a function whose entry is led elsewhere needs its old way no more.
    if (!isSparing && older.entries.every((entry) => this.#entries.includes(entry))) return true;
    const starts = ({ jumps }: AppliedHook) => jumps.map(({ start }) => start);
    return (
      hook.location === older.location &&
      hook.bytes.length === older.bytes.length &&
      hook.target === older.target &&
      (hook.pristine === undefined) === (older.pristine === undefined) &&
      isSameSet(hook.entries, older.entries) &&
      isSameSet(starts(hook), starts(older))
    );
  }

  get #entries(): bigint[] {
    return this.application.hooks.flatMap(({ target, location }) => (target === 'entry' ? [location] : []));
  }

  #conflict(hook: AppliedHook, older: AppliedHook, { patch, active }: Application2003): HotPatchError {
    const isCrossed = hook.location !== older.location;
    const { target } = this.application;
    const taken = isCrossed
      ? `would replace a part of what ${patch.name} has there: a thread could stand at it`
      : `would replace what ${patch.name} has there for ${older.entries.map((at) => target.describe(at)).join(', ')}`;
    return new HotPatchError({
      rule: isCrossed ? 'chain.crossed' : 'chain.shared',
      status: 'STATUS_CONFLICTING_ADDRESSES',
      image: this.application.patch.name,
      place: hook.place,
      message: `the ${hook.target} of ${hook.symbol} ${taken}`,
      hint: active
        ? `disable ${patch.name} first`
        : 'a thread stands at what the disabled hotpatch left: let it run on, and try again',
    });
  }

  #restoring(hook: AppliedHook): Swap {
    const below = this.#below(hook);
    // A jump that returns, or its pointer, serves the thread that stands there as well.
    const isJumpBelow = (below !== undefined || hook.isOverColdpatch) && hook.jumps.length > 0;
    return {
      ...this.#swap(hook, this.#bytesWithout(hook)),
      leaveWhile: isJumpBelow ? [] : hook.jumps,
      settled: (left) => this.#cleared(hook, left),
    };
  }

  #swap(hook: AppliedHook, bytes: Uint8Array): Swap {
    const { target, location, symbol } = hook;
    return { target, location, bytes, symbol, expected: this.#content(hook, () => true) };
  }

  /** The newest hook in force at the very place of a hook, itself and its own hotpatch's left out. */
  #below(hook: AppliedHook): AppliedHook | undefined {
    return this.#list
      .filter((one) => one.active && !one.hooks.includes(hook))
      .flatMap(({ hooks }) => hooks)
      .findLast(({ location }) => location === hook.location);
  }

  #bytesWithout(hook: AppliedHook): Uint8Array {
    if (hook.pristine === undefined) return this.#below(hook)?.bytes ?? hook.dataBefore ?? this.#read(hook);
    return this.#content(hook, (one) => one.active && !one.hooks.includes(hook));
  }

  /** The file's bytes, with what hotpatches make of them; data keeps what it holds. */
  #content(hook: AppliedHook, counts: (application: Application2003) => boolean): Uint8Array {
    if (hook.pristine === undefined) {
      const top = this.#list
        .filter((one) => one.active && counts(one))
        .flatMap(({ hooks }) => hooks)
        .findLast(({ location }) => location === hook.location);
      return top?.bytes ?? this.#read(hook);
    }
    const found = Uint8Array.from(hook.pristine);
    for (const one of this.#list)
      for (const other of one.hooksInForce)
        if (counts(one))
          // A Uint8Array ignores stores outside of it.
          for (const [i, byte] of other.bytes.entries())
            found[Number(other.location - hook.location) + i] = byte;
    return found;
  }

  /** A store at a hook's place was done or left out: it is there, or nothing is left of whatever was. */
  #cleared(hook: AppliedHook, left: boolean): void {
    if (!left)
      for (const one of this.#list)
        for (const other of one.hooks) if (overlap(hook, other)) changeHook(other, { left: false });
    changeHook(hook, { left });
  }

  #read({ location, bytes }: AppliedHook): Uint8Array {
    return this.application.target.domain.addressSpace.read(location, bytes.length);
  }
}

const isSameSet = (one: readonly bigint[], other: readonly bigint[]): boolean =>
  one.every((value) => other.includes(value)) && other.every((value) => one.includes(value));

const isJumpOf = ({ target }: AppliedHook): boolean => target === 'padding';

function isOccupied(
  kernel: Kernel,
  { target: { domain } }: Application2003,
  { jumps }: AppliedHook,
): boolean {
  return jumps.some((range) => threadsStandingIn(kernel, { domain, ...range }).length > 0);
}

function overlap(one: AppliedHook, other: AppliedHook): boolean {
  const end = ({ location, bytes }: AppliedHook) => location + BigInt(bytes.length);
  return one.location < end(other) && other.location < end(one);
}
