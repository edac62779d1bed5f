import type { PeImage } from '../../image/index.js';
import { hex, type Kernel, type LoadedImage, type PlainEventKind, processOf } from '../../loader/index.js';
import {
  drive,
  type EngineStep,
  type Holder,
  type HotPatch,
  type HotPatchEngine,
  HotPatchError,
  holdersOfPatch,
  type OperationFacts,
  performOperation,
} from '../core/index.js';
import { APPLY_IMAGE_PATCH, applyImagePatch } from './apply-image.js';
import { type EngineBuild, engineBuild } from './builds.js';
import { formFor } from './forms.js';
import { ImageRecord } from './image-record.js';
import { ntManageHotPatch } from './manage-hot-patch.js';
import { type OperationsContext, PatchOperations } from './operations.js';
import type { EngineOptions } from './options.js';
import { changePatch, type LoadPatchOptions, modernPatch, type Patch, readPatch } from './patch.js';
import { planPatch } from './plan.js';
import { refuseUnlessReady } from './refusals.js';
import { PatchRegistry } from './registry.js';
import { checkRollBack, checkSequence, checkTableVersion } from './sequence.js';
import { unmapPatch } from './unmap.js';

const RUNNING = { callouts: true, isRunning: true } as const;

/**
 * The hotpatch engine: what MiLoadHotPatch and its VTL1 counterpart do, as one transaction. Each operation exists twice:
 * as a generator that yields after every step, so that processors can run in between, and as a call that runs it through.
 */
export class ModernEngine implements HotPatchEngine {
  readonly name = 'modern';
  readonly #registry: PatchRegistry;
  readonly #records = new WeakMap<LoadedImage, ImageRecord>();
  readonly #context: OperationsContext;
  readonly #operations: PatchOperations;
  /** How the build of Windows that the kernel was booted as differs from others. */
  readonly build: EngineBuild;
  #inProgress: Patch | undefined;
  #ready: boolean;

  constructor(
    private readonly kernel: Kernel,
    private readonly options: EngineOptions = {},
  ) {
    this.build = engineBuild(kernel.windowsBuild);
    this.#context = {
      kernel,
      planOptions: {
        ignoreRel32: options.ignoreRel32 ?? this.build.ignoreRel32,
        dynamicValues: options.dynamicValues,
      },
      enforcesSequence: options.enforcePatchSequenceNumbers ?? this.build.enforcePatchSequenceNumbers,
      record: (image) => this.record(image),
    };
    this.#registry = new PatchRegistry(kernel);
    this.#operations = new PatchOperations(this.#context);
    this.#ready = options.awaitBootPatches !== true;
    kernel.onImageLoad((image) => this.#applyRegistered(image));
    kernel.systemServices.define('NtManageHotPatch', (call) => ntManageHotPatch(kernel, this, call).value);
    kernel.onImageUnload((image) => this.#forget(image));
  }

  /** Every patch that was ever loaded, oldest first. */
  get patches(): readonly Patch[] {
    return this.#registry.patches;
  }

  /** ReadyForPatchOperations: false until the boot loader's patches are registered, where the engine waits for them. */
  get ready(): boolean {
    return this.#ready;
  }

  /** Are patches taken back at run time? */
  get allowsUndo(): boolean {
    return this.options.allowUndo ?? this.build.allowUndo;
  }

  /**
   * MmRegisterHotPatches: replays the boot loader's list of patches; from then on others may be loaded. One that is
   * refused is told of, and the others are registered all the same (modelled).
   */
  registerBootPatches(patches: readonly (LoadPatchOptions & { readonly image: PeImage })[]): Patch[] {
    this.#ready = true;
    return patches.flatMap(({ image, ...options }) => {
      try {
        return [this.load(image, options)];
      } catch (error) {
        if (!(error instanceof HotPatchError)) throw error;
        this.#tell('bootPatchRefused', `boot patch refused: ${error.message}`);
        return [];
      }
    });
  }

  /** What the engine keeps of an image: use of its HPAT, undo table, patches applied. */
  record(image: LoadedImage): ImageRecord {
    const known = this.#records.get(image);
    if (known !== undefined) return known;
    const record = new ImageRecord(image, formFor(this.kernel, image));
    this.#records.set(image, record);
    return record;
  }

  /**
   * Loads a hotpatch image and applies it to its base, in every address space that has it. When no base with the
   * checksum and timestamp that it names is loaded, it is registered and applied when one comes: `state` is then
   * `deferred`, STATUS_PATCH_DEFERRED. A patch whose sequence number is registered for the base already is ignored, and
   * the registered one is returned.
   * @throws HotPatchError when it is refused; the machine is then as it was before
   */
  load(image: PeImage, options: LoadPatchOptions = {}): Patch {
    return performOperation(
      this.kernel,
      () => this.#factsOfLoad(image, options),
      () => this.loadSteps(image, options),
    );
  }

  /** {@link load}, step by step. */
  *loadSteps(image: PeImage, options: LoadPatchOptions = {}): Generator<EngineStep, Patch> {
    refuseUnlessReady(options.name ?? image.file ?? 'patch', this.kernel, this.#ready);
    const patch = readPatch(image, options);
    checkTableVersion(patch, this.build);
    const registered = this.#registry.sameBase(patch);
    if (registered?.sequenceNumber === patch.sequenceNumber && this.#context.enforcesSequence) {
      this.#tell(
        'patchIgnored',
        `patch ${patch.name}: sequence ${patch.sequenceNumber} is registered already (${registered.name})`,
      );
      return registered;
    }
    if (this.#context.enforcesSequence) this.#registry.checkSequence(patch);
    const bases = this.#basesOf(patch);
    if (bases.length === 0) {
      this.#registry.register(patch);
      this.#tell(
        'patchDeferred',
        `patch ${patch.name}: no loaded image has checksum ${hex(patch.originalCheckSum)} and timestamp ${hex(patch.originalTimeDateStamp)}: deferred (STATUS_PATCH_DEFERRED)`,
      );
      return patch;
    }
    using _ = this.#begin(patch);
    if (bases.some(({ domain }) => domain.kind === 'secure'))
      this.#tell(
        'secureImageFound',
        `patch ${patch.name}: the Secure Kernel, asked for its type, has a secure image with this checksum and timestamp`,
      );
    const leftOut = yield* this.#operations.apply(patch, bases, RUNNING);
    this.#registry.register(patch);
    yield* this.#applyToLateBases(patch, leftOut);
    return patch;
  }

  /**
   * Takes the patch in force back. Functions that the patch before it covers lead into that one again, all others get
   * their original bytes from the undo table. The patch image stays mapped, because frames and pointers may still lead
   * into it; `unmapPatch` takes it out of the address space when nothing does.
   */
  unload(of: HotPatch): void {
    const patch = modernPatch(of);
    performOperation(
      this.kernel,
      () => this.#factsOfUnload(patch),
      () => this.unloadSteps(patch),
    );
  }

  /** {@link unload}, step by step. */
  *unloadSteps(of: HotPatch): Generator<EngineStep, void> {
    const patch = modernPatch(of);
    if (patch.state === 'deferred') {
      changePatch(patch, { state: 'reverted' });
      this.#tell('patchForgotten', `patch ${patch.name} is no longer registered`);
      return;
    }
    using _ = this.#begin(patch);
    checkRollBack(patch, this.allowsUndo);
    const reverted = yield* this.#operations.revert(patch);
    yield* this.#applyPrevious(reverted);
  }

  /**
   * What the loader of a process asks for by NtManageHotPatch(ApplyImagePatch): phases of one patch image that it has
   * mapped itself, for one base. UNDO concerns that base alone: the patch stays registered, and in force everywhere else.
   * @param flags APPLY_IMAGE_PATCH
   */
  applyImagePatch(base: LoadedImage, loaded: LoadedImage, flags: number): void {
    const record = this.record(base);
    const patch = this.#registeredImage(base, loaded);
    using _ = this.#begin(patch);
    if ((flags & APPLY_IMAGE_PATCH.UNDO) !== 0) {
      checkRollBack(patch, this.allowsUndo);
      drive(this.#operations.undo(patch, record, loaded));
      return;
    }
    checkSequence(patch, record, this.#context.enforcesSequence);
    const own = this.record(loaded);
    const plan = (forwardOnly: boolean) =>
      planPatch(patch.table, record, own, { ...this.#context.planOptions, forwardOnly });
    drive(applyImagePatch(this.kernel, { base: record, loaded, record: own, patch, flags, plan }));
  }

  /** The patch that is registered for this base, if the image is that patch's. */
  #registeredImage(base: LoadedImage, loaded: LoadedImage): Patch {
    const patch = this.registeredFor(base);
    if (patch !== undefined && patch.image === loaded.image) return patch;
    throw new HotPatchError({
      rule: 'applyImage.notRegistered',
      status: 'STATUS_PATCH_NOT_REGISTERED',
      image: loaded.baseDllName,
      message: `is not the hotpatch image that is registered for ${base.baseDllName}`,
    });
  }

  /** The newest patch that is registered for an image, applied to it or not. */
  registeredFor(base: LoadedImage): Patch | undefined {
    return this.#registry.registeredFor(base);
  }

  /** The patch image that functions of this base lead into now. */
  patchOf(base: LoadedImage): LoadedImage | undefined {
    return this.#records.get(base)?.active?.loaded;
  }

  /** Takes back every patch of this patch's base, the newest first. */
  unloadAll(base: LoadedImage): void {
    for (let active = this.record(base).active; active !== undefined; active = this.record(base).active)
      this.unload(active.patch);
  }

  /** Who still needs the image of a patch that was taken back: threads, stacks, pointers in the base's data. */
  holdersOf(patch: Patch): Holder[] {
    return holdersOfPatch(this.kernel, patch);
  }

  /** Takes the image of a reverted patch out of its address spaces; refused as long as anything leads into it. */
  unmapPatch(patch: Patch): void {
    unmapPatch(this.kernel, patch);
  }

  /** A process that started while the patch was being applied has loaded its base unpatched. */
  *#applyToLateBases(patch: Patch, leftOut: readonly LoadedImage[]): Generator<EngineStep, void> {
    const has = (base: LoadedImage) =>
      patch.applications.some((application) => application.base.image === base);
    for (const base of this.#basesOf(patch)) {
      if (has(base) || leftOut.includes(base)) continue;
      try {
        yield* this.#operations.apply(patch, [base], RUNNING);
      } catch (error) {
        if (!(error instanceof HotPatchError)) throw error;
        this.#tell('lateBaseFailed', `${base.domain.name} goes on unpatched: ${error.message}`);
      }
    }
  }

  /** InProgressPatch of _MI_HOT_PATCH_STATE: one operation at a time. */
  #begin(patch: Patch): Disposable {
    const other = this.#inProgress;
    if (other !== undefined)
      throw new HotPatchError({
        rule: 'operation.inProgress',
        status: 'STATUS_OPERATION_IN_PROGRESS',
        image: patch.name,
        message: `another operation, on ${other.name}, has not ended`,
        hint: 'take its steps to the end, or leave it with return()',
      });
    this.#inProgress = patch;
    return {
      [Symbol.dispose]: () => {
        this.#inProgress = undefined;
      },
    };
  }

  /** A process that started under the newer patch never had the one before it, which is registered all the same. */
  *#applyPrevious(bases: readonly ImageRecord[]): Generator<EngineStep, void> {
    for (const { image, active } of bases) {
      const previous = active === undefined ? this.registeredFor(image) : undefined;
      if (previous !== undefined) yield* this.#operations.apply(previous, [image], RUNNING);
    }
  }

  #factsOfLoad(image: PeImage, options: LoadPatchOptions): OperationFacts {
    const bases = this.#basesOf(readPatch(image, options));
    if (bases.length === 0) return undefined;
    const kind = bases.some((base) => this.patchOf(base)) ? 'repatch' : 'apply';
    const domains = bases.map(({ domain }) => domain);
    return { kind, domains };
  }

  #factsOfUnload({ state, applications }: Patch): OperationFacts {
    if (state !== 'applied') return undefined;
    const domains = applications.map(({ base }) => base.image.domain);
    return { kind: 'revert', domains };
  }

  #basesOf(patch: Patch): LoadedImage[] {
    return this.#registry
      .basesOf(patch)
      .filter(({ domain }) => domain.kind !== 'user' || this.#patchesUserImages);
  }

  /**
   * A base that comes after its patch is patched before its first instruction runs: a driver whose patch was deferred, a
   * DLL in a process that starts when the patch is in force elsewhere.
   */
  #applyRegistered(image: LoadedImage): void {
    const patch = this.registeredFor(image);
    const { kind } = image.domain;
    const process = processOf(image.domain);
    if (patch === undefined || (kind === 'user' && !this.#patchesUserImages)) return;
    const initialising = process !== undefined && !process.threads.some((thread) => thread.started);
    // A patch that is refused here stays registered: the next load of its base must not run unpatched.
    drive(this.#operations.apply(patch, [image], { callouts: !initialising, isRunning: false }));
  }

  /**
   * An image is gone, and with it the patch images beside it, taken back or not. A patch without any base waits for the
   * next one.
   */
  #forget(image: LoadedImage): void {
    for (const patch of this.#registry.patches)
      for (const application of patch.applications.filter(({ base }) => base.image === image)) {
        const applications = patch.applications.filter((other) => other !== application);
        const waits = applications.length === 0 && patch.state !== 'reverted';
        changePatch(patch, { applications, ...(waits ? { state: 'deferred' } : {}) });
        if (application.loaded.isMapped) this.kernel.unloadImage(application.loaded);
      }
  }

  get #patchesUserImages(): boolean {
    return this.options.patchUserImages ?? true;
  }

  #tell(kind: PlainEventKind, text: string): void {
    this.kernel.events.tell(kind, text);
  }
}
