import { type Hotp1, type NtStatus, ntStatus, type PeImage, type SymbolTable } from '../../image/index.js';
import { INSPECT, type LoadedImage, printed } from '../../loader/index.js';
import {
  type HotPatch,
  HotPatchError,
  type HotPatchPlace,
  type HotPatchState,
  type Occupation,
  type StoreTarget,
} from '../core/index.js';

/**
 * `applied`: its hooks are in force. `inactive`: loaded, and its hooks are not in force. `noTarget`: no running system
 * has the module; files on disk are coldpatching's business.
 */
export type Patch2003State = Extract<HotPatchState, 'applied' | 'inactive' | 'noTarget'>;

let change: (patch: Patch2003, fields: Partial<PatchFields>) => void;

interface PatchFields {
  state: Patch2003State;
  status: NtStatus;
  applications: readonly Application2003[];
}

/** A hotpatch of Server 2003 that the engine was given. Only the engine changes it. */
export class Patch2003 implements HotPatch {
  /** It is one of the engine of Server 2003. */
  readonly engine = 'server-2003';
  readonly #fields: PatchFields = {
    state: 'noTarget',
    status: ntStatus('STATUS_NOT_FOUND'),
    applications: [],
  };

  constructor(
    /** File name of the hotpatch image. */
    readonly name: string,
    /** NT path that it was loaded from. */
    readonly path: string,
    /** The hotpatch image as a file. */
    readonly image: PeImage,
    /** What its section `.hotp1` says. */
    readonly hotp1: Hotp1,
    /** Its own symbols; undefined where none were given. */
    readonly symbols: SymbolTable | undefined,
  ) {}

  static {
    change = (patch, fields) => void Object.assign(patch.#fields, fields);
  }

  /** Whether it is in force. */
  get state(): Patch2003State {
    return this.#fields.state;
  }

  /** What its last operation ended with. */
  get status(): NtStatus {
    return this.#fields.status;
  }

  /** Every address space in which it has its target. */
  get applications(): readonly Application2003[] {
    return this.#fields.applications;
  }

  /** Every module that it is applied to, with the hotpatch image beside it. */
  get places(): readonly HotPatchPlace[] {
    return this.applications.map(({ target: base, loaded, functions }) => ({ base, loaded, functions }));
  }

  /** Functions of the target that lead into it now. */
  get functions(): number {
    return this.state === 'applied' ? (this.applications[0]?.functions ?? 0) : 0;
  }

  /** What identifies it, where it is printed. */
  toJSON() {
    return { name: this.name, state: this.state, status: this.status.name, functions: this.functions };
  }

  get [Symbol.toStringTag](): string {
    return 'Patch2003';
  }

  [INSPECT](): string {
    return printed(this[Symbol.toStringTag], this.toJSON());
  }
}

/** The engine's own way to change what it knows of a hotpatch: not exported from the room. */
export function changePatch2003(patch: Patch2003, fields: Partial<PatchFields>): void {
  change(patch, fields);
}

/** The target is gone, or the hotpatch was not applied to it after all. */
export function forgetApplication(application: Application2003): void {
  const { patch } = application;
  changePatch2003(patch, { applications: patch.applications.filter((other) => other !== application) });
  settlePatch(patch);
}

/** Its state is that of its applications; every process that had the target may have ended. */
export function settlePatch(patch: Patch2003): void {
  const { applications } = patch;
  if (applications.length === 0)
    changePatch2003(patch, { state: 'noTarget', status: ntStatus('STATUS_NOT_FOUND') });
  else {
    const state = applications.some(({ active }) => active) ? 'applied' : 'inactive';
    changePatch2003(patch, { state, status: ntStatus('STATUS_SUCCESS') });
  }
}

/** @throws HotPatchError when it is no hotpatch of this engine's kind */
export function patch2003(patch: HotPatch): Patch2003 {
  if (patch instanceof Patch2003) return patch;
  throw new HotPatchError({
    rule: 'patch.engine',
    status: 'STATUS_INVALID_PARAMETER',
    image: patch.name,
    message: `is a hotpatch of the engine '${patch.engine}', this one is 'server-2003'`,
  });
}

/** One place of the target that a hook changes. */
export interface PlannedHook {
  /** `hook 2` */
  readonly place: string;
  /** `X86_JMP2B` */
  readonly type: string;
  readonly target: StoreTarget;
  readonly location: bigint;
  readonly bytes: Uint8Array;
  /** Bytes that the target's file has here; undefined for pointers in data, whose value is not the file's. */
  readonly pristine: Uint8Array | undefined;
  readonly symbol: string;
  /** Entries of the functions whose way leads over it: the entry itself, the jump in the padding, its pointer. */
  readonly entries: readonly bigint[];
  /** The jumps in paddings that it is, or that read it: it is left where it is as long as a thread stands in one. */
  readonly jumps: readonly Occupation[];
  /** The file is a coldpatch and has a jump of its own here. */
  readonly isOverColdpatch: boolean;
  /** Where no thread may stand while it is stored over what the linker left there. */
  readonly unsafe: readonly bigint[];
}

/** A hook in a module's patch list. */
export interface AppliedHook extends PlannedHook {
  /** A pointer in data: what the program had there before any hotpatch. */
  readonly dataBefore: Uint8Array | undefined;
  /** The hotpatch was disabled, but this hook had to be left because a thread stood in it. */
  readonly left: boolean;
}

let activate: (application: Application2003, active: boolean) => void;

/** A hotpatch in one address space that has its target: an entry of that module's patch list (RTL_PATCH_HEADER). */
export class Application2003 {
  #active = false;

  static {
    activate = (application, active) => {
      application.#active = active;
    };
  }

  constructor(
    /** The hotpatch. */
    readonly patch: Patch2003,
    /** The module that it is for. */
    readonly target: LoadedImage,
    /** The hotpatch image beside it. */
    readonly loaded: LoadedImage,
    /** What it changes in the target. */
    readonly hooks: readonly AppliedHook[],
  ) {}

  /** Are its hooks in the target? */
  get active(): boolean {
    return this.#active;
  }

  /** Functions of the target that it covers, and pointers to functions in its data. */
  get functions(): number {
    return this.hooks.filter(({ target, pristine }) => target === 'entry' || pristine === undefined).length;
  }

  /** Hooks whose bytes are in the target now. */
  get hooksInForce(): readonly AppliedHook[] {
    return this.hooks.filter(({ left }) => this.active || left);
  }
}

/** The engine's own way to say that its hooks are in the target now, or no more. */
export function changeApplication2003(application: Application2003, active: boolean): void {
  activate(application, active);
}

/** The engine's own way to change what it knows of a hook. */
export function changeHook(
  hook: AppliedHook,
  fields: Partial<Pick<AppliedHook, 'left' | 'dataBefore'>>,
): void {
  Object.assign(hook, fields);
}

/**
 * What is known of a module: its hotpatches, oldest first. A hotpatch is as old in every module, whichever of them it came
 * to first: a process that starts later has the same one on top as the others.
 */
export class PatchList {
  readonly #lists = new Map<LoadedImage, readonly Application2003[]>();

  /** @param given every hotpatch that was ever given to the engine, oldest first; one that is not among them is the newest */
  constructor(private readonly given: readonly Patch2003[]) {}

  of(target: LoadedImage): readonly Application2003[] {
    const list = this.#lists.get(target) ?? [];
    return list.toSorted((one, other) => this.#age(one) - this.#age(other));
  }

  add(application: Application2003): void {
    const { target } = application;
    this.#lists.set(target, [...this.of(target), application]);
  }

  remove(application: Application2003): void {
    const { target } = application;
    this.#lists.set(
      target,
      this.of(target).filter((other) => other !== application),
    );
  }

  #age({ patch }: Application2003): number {
    const index = this.given.indexOf(patch);
    return index < 0 ? this.given.length : index;
  }

  forget(target: LoadedImage): void {
    this.#lists.delete(target);
  }

  get all(): readonly Application2003[] {
    return [...this.#lists.values()].flat();
  }
}
