import { formatAddress } from '../../cpu/index.js';
import {
  isModule,
  type NtStatus,
  ntStatus,
  type PeImage,
  readHotp1,
  validateHotp1,
} from '../../image/index.js';
import {
  defineExport,
  type FileSystem,
  type Kernel,
  KernelError,
  type LoadedImage,
} from '../../loader/index.js';
import { HotPatchError } from '../error.js';
import type { EngineStep } from '../steps.js';
import { type ApplyContext, applyToTarget, disable, enable } from './apply.js';
import { injectRoutine, LDR_HOT_PATCH_ROUTINE, serveRoutine } from './inject.js';
import type { HotPatch2003Options, LoadPatch2003Options } from './options.js';
import { type Application2003, Patch2003, PatchList } from './patch.js';
import { ntSetSystemInformation } from './set-system-information.js';
import { Operation } from './stores.js';

/** Parameters of NtSetSystemInformation: class, buffer, length. */
const STUB_PARAMETERS = ['u32', 'pointer', 'u32'] as const;

/**
 * The hotpatch engine of Windows Server 2003 SP1: `.hotp1` images, NtSetSystemInformation(SystemHotpatchInformation), a
 * routine in each process. It shares loader and processors with the modern engine, and nothing else. Each operation
 * exists as a generator that yields after every store, and as a call that runs it through.
 */
export class HotPatch2003Engine {
  readonly #patches: Patch2003[] = [];
  readonly #lists = new PatchList();
  /** Hotpatch files that were handed to the engine, by NT path in lower case. */
  readonly #given = new Map<string, Patch2003>();
  /** Files of hotpatches and coldpatches; undefined: only what `loadPatch` is given. */
  disk: FileSystem | undefined;
  /** RELOAD_NTDLL: makes later processes use the ntdll that is on disk now. */
  reloadNtdll: (() => void) | undefined;

  constructor(
    readonly kernel: Kernel,
    readonly options: HotPatch2003Options = {},
  ) {
    kernel.systemServices.define(
      'NtSetSystemInformation',
      (call) => ntSetSystemInformation(this, call).value,
    );
    const widths = kernel.architecture.name === 'arm64' ? [false] : [false, true];
    for (const wow64 of widths) {
      const services = kernel.userServices({ wow64 });
      services.define({
        name: 'ntdll.dll',
        exports: [
          defineExport('NtSetSystemInformation', STUB_PARAMETERS, (call) =>
            call.kernel.systemServices.call('NtSetSystemInformation', call),
          ),
          defineExport(LDR_HOT_PATCH_ROUTINE, ['pointer'], (call, address) =>
            serveRoutine(this, call, address),
          ),
        ],
      });
      // Injecting needs its address; it is part of every process from the start.
      services.address('ntdll.dll', LDR_HOT_PATCH_ROUTINE);
    }
    kernel.onImageUnload((image) => this.#forget(image));
  }

  /** Every hotpatch that was ever given to the engine, oldest first. */
  get patches(): readonly Patch2003[] {
    return this.#patches;
  }

  /** A module's hotpatches, oldest first: what RTL_PATCH_HEADERs are linked into. */
  patchList(target: LoadedImage): readonly Application2003[] {
    return this.#lists.of(target);
  }

  get lists(): PatchList {
    return this.#lists;
  }

  /**
   * Loads a hotpatch image beside its target, in kernel space and in every process that has the very module it names, and
   * puts its hooks in force. Without any such module its state is `noTarget`.
   * @throws HotPatchError when it is refused anywhere; the machine is then as it was before
   */
  loadPatch(image: PeImage, options: LoadPatch2003Options = {}): Patch2003 {
    return drive(this.loadPatchSteps(image, options));
  }

  *loadPatchSteps(image: PeImage, options: LoadPatch2003Options = {}): Generator<EngineStep, Patch2003> {
    const patch = this.read(image, options);
    const targets = this.targetsOf(patch);
    this.#given.set(patch.path.toLowerCase(), patch);
    if (targets.length === 0) {
      this.#patches.push(patch);
      this.tell(
        'patchWithoutTarget',
        `hotpatch ${patch.name}: ${patch.hotp1.targetName} is not loaded anywhere`,
      );
      return patch;
    }
    yield* this.transaction(patch.name, function* (context) {
      for (const target of targets) yield* context.engine.applySteps(context, patch, target, options);
    });
    this.#patches.push(patch);
    patch.state = options.active === false ? 'inactive' : 'applied';
    patch.status = ntStatus('STATUS_SUCCESS');
    this.#tellState(patch);
    return patch;
  }

  /** Applies to one target: in kernel space at once, in a process on a thread that is injected into it. */
  *applySteps(
    context: ApplyContext,
    patch: Patch2003,
    target: LoadedImage,
    options: LoadPatch2003Options,
  ): Generator<EngineStep, void> {
    const { process } = target.domain;
    if (target.domain.kind === 'user' && process !== undefined) {
      yield* injectRoutine(this, context, process, patch, target, options);
      return;
    }
    context.operation.tell(
      'kernelPath',
      `MmHotPatchRoutine: ${patch.name} for ${target.baseDllName} in ${target.domain.name}`,
    );
    yield* applyToTarget(context, patch, target, options);
  }

  /** Swaps the original bytes back, everywhere; the hotpatch images stay loaded. */
  disable(patch: Patch2003): void {
    drive(this.disableSteps(patch));
  }

  *disableSteps(patch: Patch2003): Generator<EngineStep, void> {
    yield* this.#swapSteps(patch, 'applied', 'inactive', disable);
  }

  /** Puts a disabled hotpatch in force again. */
  enable(patch: Patch2003): void {
    drive(this.enableSteps(patch));
  }

  *enableSteps(patch: Patch2003): Generator<EngineStep, void> {
    yield* this.#swapSteps(patch, 'inactive', 'applied', enable);
  }

  /** One target alone, as a request of its own process or of the kernel asks: apply it, enable it, or disable it. */
  patchOne(patch: Patch2003, target: LoadedImage, active: boolean): void {
    const known = this.#lists.of(target).find((application) => application.patch === patch);
    if (known?.active === active) return;
    const steps = (context: ApplyContext): Generator<EngineStep, unknown> => {
      if (known === undefined) return applyToTarget(context, patch, target, { active });
      return active ? enable(context, known) : disable(context, known);
    };
    drive(this.transaction(patch.name, steps));
    if (!this.#patches.includes(patch)) this.#patches.push(patch);
    patch.state = patch.applications.some((application) => application.active) ? 'applied' : 'inactive';
    patch.status = ntStatus('STATUS_SUCCESS');
    this.#tellState(patch);
  }

  /** A request to inject: the routine in each of these processes, all of them or none. */
  inject(patch: Patch2003, targets: readonly LoadedImage[], active: boolean): void {
    const fresh = targets.filter((target) => !this.#lists.of(target).some((one) => one.patch === patch));
    drive(
      this.transaction(patch.name, function* (context) {
        for (const target of fresh) yield* context.engine.applySteps(context, patch, target, { active });
      }),
    );
    for (const target of targets) this.patchOne(patch, target, active);
    if (!this.#patches.includes(patch)) this.#patches.push(patch);
    patch.state = patch.applications.some((application) => application.active) ? 'applied' : 'inactive';
    patch.status = ntStatus('STATUS_SUCCESS');
  }

  /** Hooks of disabled hotpatches that had to be left because a thread stood in them, tried again. */
  restoreLeftHooks(): void {
    for (const application of this.#lists.all) {
      if (application.active || application.hooks.every(({ left }) => !left)) continue;
      drive(this.transaction(application.patch.name, (context) => disable(context, application)));
    }
  }

  /** Threads that still run, or will return into, code that a hotpatch has replaced: they finish in the old code. */
  threadsInOldCode(patch: Patch2003): string[] {
    return patch.applications.flatMap(({ target, hooks }) =>
      this.kernel.threads
        .filter(({ domain }) => domain.addressSpace === target.domain.addressSpace)
        .flatMap((thread) => {
          const inside = thread
            .stackWalk()
            .map(({ pc }) => target.symbols.byAddress(target.rva(pc))?.symbol)
            .find((symbol) =>
              hooks.some(
                ({ location, target: kind }) => kind === 'entry' && symbol?.rva === target.rva(location),
              ),
            );
          return inside === undefined
            ? []
            : [`thread ${thread.id} is in the old ${target.moduleName}!${inside.name}`];
        }),
    );
  }

  /** The hotpatch file at an NT path: what was given to the engine, what is on disk, or what the kernel's files know. */
  openPatch(path: string): Patch2003 | undefined {
    const given = this.#given.get(path.toLowerCase());
    if (given !== undefined) return given;
    const image = this.disk?.readImage(path);
    const file = path.replace(/^.*[\\/]/, '');
    const known = image ?? this.kernel.files.find(file, this.kernel.boot.architecture)?.image;
    if (known === undefined) return undefined;
    const patch = this.read(known, { name: file, path });
    this.#given.set(path.toLowerCase(), patch);
    return patch;
  }

  /** Reads and validates a hotpatch image by itself. */
  read(image: PeImage, options: LoadPatch2003Options): Patch2003 {
    const name = options.name ?? image.file?.replace(/^.*[\\/]/, '') ?? 'hotpatch';
    const found = validateHotp1(image).find(({ severity }) => severity === 'error');
    if (found !== undefined) {
      const { rule, status, place, message } = found;
      throw new HotPatchError({ rule, status: status.name, image: name, place, message });
    }
    const hotp1 = readHotp1(image);
    if (hotp1 === undefined) throw new RangeError('a valid hotpatch has a .hotp1 section');
    return new Patch2003(name, options.path ?? name, image, hotp1, options.symbols);
  }

  /**
   * Modules that the hotpatch is for, by name and identification, in every address space. Modules of that name and
   * another identification are left alone as long as there is a right one: they were coldpatched.
   */
  targetsOf({ name, hotp1, image }: Patch2003): LoadedImage[] {
    const named = this.kernel.domains
      .filter(({ kind }) => kind !== 'secure')
      .flatMap(({ images }) => images)
      .filter(
        ({ baseDllName, loadReason, image: { machine } }) =>
          loadReason !== 'PatchImage' &&
          machine === image.machine &&
          baseDllName.toLowerCase() === hotp1.targetName.toLowerCase(),
      );
    const targets = named.filter((loaded) => isModule(loaded.image, hotp1));
    const [other] = named;
    if (targets.length > 0 || other === undefined) return targets;
    throw new HotPatchError({
      rule: 'target.moduleId',
      status: 'STATUS_REVISION_MISMATCH',
      image: name,
      place: '.hotp1 +0x38',
      message: `${other.baseDllName} in ${other.domain.name} is not the build that the hotpatch is for`,
    });
  }

  /** Runs steps with a journal; when they fail, every store is taken back, last one first. */
  *transaction<T>(
    name: string,
    steps: (context: ApplyContext & { readonly engine: HotPatch2003Engine }) => Generator<EngineStep, T>,
  ): Generator<EngineStep, T> {
    const operation = new Operation(this.kernel);
    try {
      return yield* steps({ operation, options: this.options, lists: this.#lists, engine: this });
    } catch (error) {
      operation.rollBack();
      throw asHotPatchError(error, name);
    }
  }

  tell(kind: string, text: string): void {
    this.kernel.events.emit({ kind, text });
  }

  *#swapSteps(
    patch: Patch2003,
    from: Patch2003['state'],
    to: Patch2003['state'],
    swap: (context: ApplyContext, application: Application2003) => Generator<EngineStep, void>,
  ): Generator<EngineStep, void> {
    if (patch.state !== from)
      throw new HotPatchError({
        rule: 'patch.state',
        status: 'STATUS_INVALID_PARAMETER',
        image: patch.name,
        message: `the hotpatch is ${patch.state}, not ${from}`,
      });
    this.tell('swapBegun', `${to === 'applied' ? 'enable' : 'disable'} ${patch.name}`);
    yield* this.transaction(patch.name, function* (context) {
      for (const application of patch.applications) yield* swap(context, application);
    });
    patch.state = to;
    this.#tellState(patch);
  }

  #tellState(patch: Patch2003): void {
    const { name } = this.kernel.machine.architecture;
    for (const { target, loaded } of patch.applications)
      this.tell(
        patch.state,
        `hotpatch ${patch.name} of generation 2003 is ${patch.state}: ${target.baseDllName} in ${target.domain.name}, its image at ${formatAddress(name, loaded.dllBase)}`,
      );
  }

  #forget(image: LoadedImage): void {
    this.#lists.forget(image);
    for (const patch of this.#patches) {
      const kept = patch.applications.filter(({ target }) => target !== image);
      if (kept.length < patch.applications.length) patch.applications.splice(0, Infinity, ...kept);
    }
  }
}

/** Runs a generator through. */
export function drive<T>(steps: Generator<EngineStep, T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/** What an operation ended with, as this engine's error; bug checks and the project's own bugs stay what they are. */
export function asHotPatchError(error: unknown, image: string): unknown {
  if (!(error instanceof KernelError)) return error;
  const { rule, status, reason } = error;
  return new HotPatchError({ rule, status: status.name, image, message: reason, cause: error });
}

export function statusOfError(error: unknown): NtStatus | undefined {
  return error instanceof HotPatchError || error instanceof KernelError ? error.status : undefined;
}
