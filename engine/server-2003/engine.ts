import { type ArchitectureName, formatAddress } from '../../cpu/index.js';
import type { NtStatus, PeImage } from '../../image/index.js';
import type { Kernel, LoadedImage, PlainEventKind } from '../../loader/index.js';
import {
  asHotPatchError,
  drive,
  type EngineStep,
  type HotPatch,
  type HotPatchEngine,
  HotPatchError,
  Operation,
  type OperationFacts,
  type OperationKind,
  performOperation,
  storeAsKernel,
} from '../core/index.js';
import { type Change2003, swapFor } from './apply.js';
import type { ApplyContext, EngineServices, Server2003Host } from './context.js';
import { threadsInOldCode } from './old-code.js';
import type { HotPatch2003Options, LoadPatch2003Options } from './options.js';
import {
  type Application2003,
  forgetApplication,
  type Patch2003,
  PatchList,
  patch2003,
  settlePatch,
} from './patch.js';
import { PatchFiles, readPatch2003 } from './patch-files.js';
import { changeTargets, type EnterOptions } from './patch-targets.js';
import { defineServices } from './services.js';
import { type SetInformationCaller, setSystemInformation } from './set-system-information.js';
import { swapCode } from './swap.js';

/**
 * The hotpatch engine of Windows Server 2003 SP1: `.hotp1` images, NtSetSystemInformation(SystemHotpatchInformation), a
 * routine in each process. It shares loader and processors with the modern engine, and nothing else. Each operation
 * exists as a generator that yields after every store, and as a call that runs it through.
 */
export class Server2003Engine implements HotPatchEngine {
  readonly name = 'server-2003';
  readonly #patches: Patch2003[] = [];
  readonly #lists = new PatchList(this.#patches);
  readonly #files: PatchFiles;
  readonly #services: EngineServices;
  #host: Server2003Host | undefined;

  constructor(
    private readonly kernel: Kernel,
    private readonly options: HotPatch2003Options = {},
  ) {
    this.#files = new PatchFiles(kernel, () => this.#host?.disk);
    this.#services = this.#makeServices();
    defineServices(this.#services);
    kernel.onImageUnload((image) => this.#forget(image));
  }

  #makeServices(): EngineServices {
    const host = () => this.#host;
    return {
      kernel: this.kernel,
      get host() {
        return host();
      },
      openPatch: (path, caller) => this.openPatch(path, caller),
      targetsOf: (patch) => this.targetsOf(patch),
      patchOne: (patch, target, active) => this.patchOne(patch, target, active),
      patchEach: (patch, targets, active) => this.patchEach(patch, targets, active),
      transaction: (name, steps) => this.#transaction(name, steps),
    };
  }

  /** From now on requests find the disk of this system, and make it reload its ntdll. */
  serve(host: Server2003Host): void {
    this.#host = host;
  }

  /** NtSetSystemInformation for a caller in the kernel or a process: whatever the buffer holds, the answer is an NTSTATUS. */
  setSystemInformation(
    caller: SetInformationCaller,
    informationClass: number,
    buffer: bigint,
    length: number,
  ): NtStatus {
    return setSystemInformation(this.#services, caller, informationClass, buffer, length);
  }

  /** Every hotpatch that was ever given to the engine, oldest first. */
  get patches(): readonly Patch2003[] {
    return this.#patches;
  }

  /** A module's hotpatches, oldest first: what RTL_PATCH_HEADERs are linked into. */
  patchList(target: LoadedImage): readonly Application2003[] {
    return this.#lists.of(target);
  }

  /** The image of the newest hotpatch that is in force for a module. */
  patchOf(target: LoadedImage): LoadedImage | undefined {
    return this.#lists.of(target).findLast(({ active }) => active)?.loaded;
  }

  /** The hotpatches of all modules, oldest first for each. */
  get applications(): readonly Application2003[] {
    return this.#lists.all;
  }

  /**
   * Loads a hotpatch image beside its target, in kernel space and in every process that has the very module it names, and
   * puts its hooks in force. Without any such module its state is `noTarget`.
   * @throws HotPatchError when it is refused anywhere; the machine is then as it was before
   */
  load(image: PeImage, options: LoadPatch2003Options = {}): Patch2003 {
    const facts = () => {
      const targets = this.targetsOf(readPatch2003(image, options));
      return options.active === false ? undefined : this.#facts(targets, true);
    };
    return performOperation(this.kernel, facts, () => this.loadSteps(image, options));
  }

  /** {@link load}, step by step. */
  *loadSteps(image: PeImage, options: LoadPatch2003Options = {}): Generator<EngineStep, Patch2003> {
    const patch = readPatch2003(image, options);
    const targets = this.targetsOf(patch);
    this.#files.give(patch);
    if (targets.length === 0) {
      this.#patches.push(patch);
      this.#tell(
        'patchWithoutTarget',
        `hotpatch ${patch.name}: ${patch.hotp1.targetName} is not loaded anywhere`,
      );
      return patch;
    }
    const { active = true, dllBase } = options;
    yield* this.#changeSteps(patch, targets, active, { dllBase });
    return patch;
  }

  /**
   * Disables it: swaps the original bytes back, everywhere; the hotpatch images stay loaded.
   * @throws HotPatchError `patch.state` when it is in force nowhere
   */
  unload(of: HotPatch): void {
    const patch = patch2003(of);
    const facts = () => this.#facts(inForce(patch), false);
    performOperation(this.kernel, facts, () => this.unloadSteps(patch));
  }

  /** {@link unload}, step by step. */
  *unloadSteps(of: HotPatch): Generator<EngineStep, void> {
    const patch = patch2003(of);
    yield* this.#swapSteps(patch, inForce(patch), false);
  }

  /**
   * Puts a disabled hotpatch in force again, and in what has mapped its target since.
   * @throws HotPatchError `patch.state` when there is no module in which it is not in force
   */
  enable(patch: Patch2003): void {
    const facts = () => this.#facts(this.#notInForce(patch), true);
    performOperation(this.kernel, facts, () => this.enableSteps(patch));
  }

  /** {@link enable}, step by step. */
  *enableSteps(patch: Patch2003): Generator<EngineStep, void> {
    yield* this.#swapSteps(patch, this.#notInForce(patch), true);
  }

  /** One target alone, as a request of its own process asks: apply it, enable it, or disable it. */
  patchOne(patch: Patch2003, target: LoadedImage, active: boolean): void {
    const facts = () => this.#facts([target], active);
    performOperation(this.kernel, facts, () =>
      this.#changeSteps(patch, [target], active, { injects: false }),
    );
  }

  /** Several targets, all of them or none: kernel space at once, processes by the routine that is injected into them. */
  patchEach(patch: Patch2003, targets: readonly LoadedImage[], active: boolean): void {
    const facts = () => this.#facts(targets, active);
    performOperation(this.kernel, facts, () => this.#changeSteps(patch, targets, active));
  }

  /** Modules in which it is so already are left alone. */
  *#changeSteps(
    patch: Patch2003,
    targets: readonly LoadedImage[],
    active: boolean,
    options: EnterOptions = {},
  ): Generator<EngineStep, void> {
    const change: Change2003 = active ? 'enable' : 'disable';
    const changes = targets
      .map((target) => ({ target, application: this.#applicationOf(patch, target), change }))
      .filter(({ application }) => application?.active !== active);
    if (changes.length === 0) return;
    const settled = () => this.#settle(patch);
    yield* this.#transaction(
      patch.name,
      (context) => changeTargets(context, patch, changes, { ...options, active }),
      settled,
    );
    settled();
    this.#tellState(patch);
  }

  /**
   * Hooks of disabled hotpatches that had to be left because a thread stood in them, tried again. Every other operation on
   * the module does so too.
   */
  restoreLeftHooks(): void {
    for (const application of [...this.#lists.all].reverse())
      if (application.hooks.some(({ left }) => left))
        drive(
          this.#transaction(application.patch.name, (context) =>
            swapCode(context, [swapFor(context, application, 'clear')]),
          ),
        );
  }

  /** Threads that still run, or will return into, code that a hotpatch has replaced: they finish in the old code. */
  threadsInOldCode(patch: Patch2003): string[] {
    return threadsInOldCode(this.kernel, patch);
  }

  /**
   * The hotpatch file at an NT path.
   * @param caller processor of whoever asks, where the kernel's files have one of that name for each
   * @throws HotPatchError when it is no valid hotpatch
   */
  openPatch(path: string, caller?: ArchitectureName): Patch2003 | undefined {
    return this.#files.open(path, caller);
  }

  /** Modules that the hotpatch is for, in every address space. @throws HotPatchError when they are another build's */
  targetsOf(patch: Patch2003): LoadedImage[] {
    return this.#files.targetsOf(patch);
  }

  /** Runs steps with a journal; when they fail before they are settled, every store is taken back, last one first. */
  *#transaction<T>(
    name: string,
    steps: (context: ApplyContext) => Generator<EngineStep, T>,
    settled: () => void = () => undefined,
  ): Generator<EngineStep, T> {
    const operation = new Operation(this.kernel, storeAsKernel);
    const context = { operation, options: this.options, lists: this.#lists, host: this.#host, settled };
    try {
      return yield* operation.run(() => steps(context));
    } catch (error) {
      throw asHotPatchError(error, name);
    }
  }

  #tell(kind: PlainEventKind, text: string): void {
    this.kernel.events.tell(kind, text);
  }

  *#swapSteps(
    patch: Patch2003,
    targets: readonly LoadedImage[],
    active: boolean,
  ): Generator<EngineStep, void> {
    if (targets.length === 0)
      throw new HotPatchError({
        rule: 'patch.state',
        status: 'STATUS_INVALID_PARAMETER',
        image: patch.name,
        message: `the hotpatch is ${patch.state}: there is nothing to ${active ? 'enable' : 'disable'}`,
      });
    this.#tell('swapBegun', `${active ? 'enable' : 'disable'} ${patch.name}`);
    yield* this.#changeSteps(patch, targets, active);
  }

  #notInForce(patch: Patch2003): LoadedImage[] {
    return this.targetsOf(patch).filter((target) => this.#applicationOf(patch, target)?.active !== true);
  }

  #facts(targets: readonly LoadedImage[], active: boolean): OperationFacts {
    if (targets.length === 0) return undefined;
    const isPatched = targets.some((target) => this.patchOf(target) !== undefined);
    const towards: OperationKind = isPatched ? 'repatch' : 'apply';
    const domains = targets.map(({ domain }) => domain);
    return { kind: active ? towards : 'revert', domains };
  }

  #applicationOf(patch: Patch2003, target: LoadedImage): Application2003 | undefined {
    return this.#lists.of(target).find((application) => application.patch === patch);
  }

  #settle(patch: Patch2003): void {
    if (!this.#patches.includes(patch)) this.#patches.push(patch);
    settlePatch(patch);
  }

  #tellState(patch: Patch2003): void {
    const { name } = this.kernel.machine.architecture;
    for (const { target, loaded } of patch.applications)
      this.#tell(
        patch.state,
        `hotpatch ${patch.name} of generation 2003 is ${patch.state}: ${target.baseDllName} in ${target.domain.name}, its image at ${formatAddress(name, loaded.dllBase)}`,
      );
  }

  #forget(image: LoadedImage): void {
    const applications = this.#lists.of(image);
    this.#lists.forget(image);
    for (const application of applications) forgetApplication(application);
  }
}

const inForce = ({ applications }: Patch2003): LoadedImage[] =>
  applications.filter(({ active }) => active).map(({ target }) => target);
