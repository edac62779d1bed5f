import { handlersOf } from './frames.js';
import { isImagePrivate } from './image-private.js';
import type { CodeFunction, Program, Variable } from './program.js';

/** What decides where a walk through patched code ends. */
export interface ReachOptions {
  /** Functions that run in the patch image from the start: the targets of forward records, the callout. */
  readonly roots: Iterable<CodeFunction>;
  /** Does the patch image's copy of this function lead to the base? */
  isRedirected(code: CodeFunction): boolean;
  /** Does this `__ref_` pointer lead to the base? */
  isSlotRedirected(slot: Variable): boolean;
  /** Is it a variable of the base too? Pointers in one that is not are the patch image's own. */
  isShared(variable: Variable): boolean;
}

/** A variable that code of the patch image touches in its own image. */
export interface Access {
  readonly code: CodeFunction;
  readonly offset: number;
  readonly variable: Variable;
  readonly variableOffset: number;
}

/** A pointer in the patch image's data to a mutable variable. */
export interface Pointer {
  /** RVA of the pointer. */
  readonly rva: number;
  /** What it lies in. */
  readonly holder: Variable;
  readonly variable: Variable;
  readonly variableOffset: number;
  /** Through which function it is reached. */
  readonly code: CodeFunction;
}

/** Everything that patched code can reach without leaving the patch image by a pointer from the base. */
export interface Reach {
  /** Functions that run in the patch image → the function through which they are reached; undefined: a root. */
  readonly inside: ReadonlyMap<CodeFunction, CodeFunction | undefined>;
  /** Functions of the patch image that lead back to the base → a function that reaches them. */
  readonly leaving: ReadonlyMap<CodeFunction, CodeFunction>;
  /** Functions whose address patched code takes, directly or in a constant → by whom. */
  readonly addressTaken: ReadonlyMap<CodeFunction, CodeFunction>;
  /** Direct uses of the patch image's own data, constants included. */
  readonly accesses: readonly Access[];
  /** `__ref_` pointers in use → by whom. */
  readonly slots: ReadonlyMap<Variable, readonly CodeFunction[]>;
  /** Pointers in the patch image's own data, constants or new variables, that hold the address of a mutable variable. */
  readonly pointers: readonly Pointer[];
  /** Places that name the headers of the patch image. */
  readonly imageBase: readonly { readonly code: CodeFunction; readonly offset: number }[];
  /** Jumps and calls to somewhere inside a function that leads back to the base. */
  readonly intoMiddle: readonly {
    readonly code: CodeFunction;
    readonly target: CodeFunction;
    readonly offset: number;
  }[];
}

/** Walks from the roots through calls, jumps, address-taken functions and constants of the patch image. */
export function findReach(program: Program, options: ReachOptions): Reach {
  const walk = new Walk(program, options);
  for (const root of options.roots) walk.enter(root, undefined);
  walk.run();
  return walk;
}

class Walk implements Reach {
  readonly inside = new Map<CodeFunction, CodeFunction | undefined>();
  readonly leaving = new Map<CodeFunction, CodeFunction>();
  readonly addressTaken = new Map<CodeFunction, CodeFunction>();
  readonly accesses: Access[] = [];
  readonly slots = new Map<Variable, CodeFunction[]>();
  readonly pointers: Pointer[] = [];
  readonly imageBase: { code: CodeFunction; offset: number }[] = [];
  readonly intoMiddle: { code: CodeFunction; target: CodeFunction; offset: number }[] = [];
  readonly #work: CodeFunction[] = [];
  readonly #contents = new Set<Variable>();

  constructor(
    private readonly program: Program,
    private readonly options: ReachOptions,
  ) {}

  run(): void {
    for (let code = this.#work.pop(); code !== undefined; code = this.#work.pop()) {
      for (const { kind, target, offset } of this.program.stream(code).references)
        this.#follow(code, kind, target, offset);
      for (const handler of handlersOf(this.program, code)) this.#reachFunction(handler, 0, code);
    }
  }

  enter(code: CodeFunction, by: CodeFunction | undefined): void {
    if (this.inside.has(code)) return;
    this.inside.set(code, by);
    this.#work.push(code);
  }

  #follow(code: CodeFunction, kind: 'call' | 'jump' | 'data', target: number, offset: number): void {
    const place = this.program.place(target);
    if (place.kind === 'function') {
      if (place.function === code) return;
      if (kind === 'data' && place.offset === 0) this.#takeAddress(place.function, code);
      this.#reachFunction(place.function, place.offset, code);
    }
    if (place.kind === 'unknown' && this.program.isInHeaders(target)) this.imageBase.push({ code, offset });
    if (place.kind !== 'variable') return;
    const { variable } = place;
    if (variable.isReference) this.#useSlot(variable, code);
    else {
      this.accesses.push({ code, offset, variable, variableOffset: place.offset });
      if (!variable.isMutable || !this.options.isShared(variable)) this.#walkContents(variable, code);
    }
  }

  #reachFunction(target: CodeFunction, offset: number, by: CodeFunction): void {
    if (!this.options.isRedirected(target)) this.enter(target, by);
    else if (offset !== 0) this.intoMiddle.push({ code: by, target, offset });
    else if (!this.leaving.has(target)) this.leaving.set(target, by);
  }

  #takeAddress(target: CodeFunction, by: CodeFunction): void {
    if (!this.addressTaken.has(target)) this.addressTaken.set(target, by);
  }

  #useSlot(slot: Variable, by: CodeFunction): void {
    const users = this.slots.get(slot) ?? [];
    this.slots.set(slot, users.includes(by) ? users : [...users, by]);
    if (!this.options.isSlotRedirected(slot)) this.#walkContents(slot, by);
  }

  /** What the pointers in a variable of the patch image lead to. */
  #walkContents(variable: Variable, by: CodeFunction): void {
    if (this.#contents.has(variable) || isImagePrivate(variable)) return;
    this.#contents.add(variable);
    for (const rva of this.program.relocationsIn(variable.rva, variable.size)) {
      const place = this.program.place(this.program.pointerTarget(rva));
      if (place.kind === 'function' && place.offset === 0) {
        this.#takeAddress(place.function, by);
        this.#reachFunction(place.function, 0, by);
      }
      if (place.kind !== 'variable') continue;
      const { variable: target, offset } = place;
      // A `__ref_` pointer that stays in the patch image leads to a variable that only the patch has.
      if (target.isMutable && this.options.isShared(target) && !variable.isReference)
        this.pointers.push({ rva, holder: variable, variable: target, variableOffset: offset, code: by });
      else this.#walkContents(target, by);
    }
  }
}
