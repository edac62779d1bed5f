import { formatAddress } from '../cpu/index.js';
import { type Finding, ntStatus, type PeImage, type SymbolTable, validateHotPatch } from '../image/index.js';
import { GuestCrash, hex, type Kernel, KernelError, type LoadedImage } from '../loader/index.js';
import { Applier, rendezvous } from './apply.js';
import { HotPatchError } from './error.js';
import { ImageRecord } from './image-record.js';
import { Journal } from './journal.js';
import { Patch } from './patch.js';
import { type PatchPlan, planPatch } from './plan.js';
import type { EngineStep } from './steps.js';
import type { TrampolineForm } from './trampoline.js';
import { arm64Trampoline } from './trampoline-arm64.js';
import { x64Trampoline, x86Trampoline } from './trampoline-x64.js';
import type { UndoEntry } from './undo-table.js';

export interface LoadPatchOptions {
  /** BaseDllName of the patch image; default: the file's name. */
  readonly name?: string;
  readonly symbols?: SymbolTable;
}

const FORMS: Record<string, TrampolineForm> = {
  x64: x64Trampoline,
  x86: x86Trampoline,
  arm64: arm64Trampoline,
};

/**
 * The hotpatch engine: what MiLoadHotPatch and its VTL1 counterpart do, as one transaction. Each operation exists twice:
 * as a generator that yields after every step, so that processors can run in between, and as a call that runs it through.
 */
export class HotPatchEngine {
  readonly #patches: Patch[] = [];
  readonly #records = new Map<LoadedImage, ImageRecord>();
  readonly #form: TrampolineForm;

  constructor(private readonly kernel: Kernel) {
    const form = FORMS[kernel.machine.architecture.name];
    if (form === undefined) throw new Error(`no trampoline form for ${kernel.machine.architecture.name}`);
    this.#form = form;
    kernel.onImageLoad((image) => this.#applyDeferred(image));
  }

  /** Every patch that was ever loaded, oldest first. */
  get patches(): readonly Patch[] {
    return this.#patches;
  }

  /** What the engine keeps of an image: use of its HPAT, undo table, patch in force. */
  record(image: LoadedImage): ImageRecord {
    const known = this.#records.get(image);
    if (known !== undefined) return known;
    const record = new ImageRecord(image);
    this.#records.set(image, record);
    return record;
  }

  /**
   * Loads a hotpatch image and applies it to its base. When no base with the checksum and timestamp that it names is
   * loaded, it is registered and applied when one comes: `state` is then `deferred`, STATUS_PATCH_DEFERRED.
   * @throws HotPatchError when it is refused; the machine is then as it was before
   */
  loadPatch(image: PeImage, options: LoadPatchOptions = {}): Patch {
    return drive(this.loadPatchSteps(image, options));
  }

  *loadPatchSteps(image: PeImage, options: LoadPatchOptions = {}): Generator<EngineStep, Patch> {
    const name = options.name ?? image.file?.replace(/^.*[\\/]/, '') ?? 'patch';
    if (!this.kernel.hotPatchingEnabled)
      throw new HotPatchError({
        rule: 'hotPatching.disabled',
        status: 'STATUS_NOT_SUPPORTED',
        image: name,
        message: 'hotpatching is disabled: it needs a HotPatchTableSize and virtualization-based security',
      });
    const table = image.hotPatch;
    refuseFindings(validateHotPatch(image), name);
    const [description] = table?.bases ?? [];
    if (table === undefined || description === undefined)
      throw new HotPatchError({
        rule: 'hotPatch.absent',
        status: 'STATUS_INVALID_IMAGE_FORMAT',
        image: name,
        message: 'the image has no hotpatch table',
      });
    const { originalCheckSum, originalTimeDateStamp } = description;
    const patch = new Patch(
      name,
      image,
      table.sequenceNumber,
      originalCheckSum,
      originalTimeDateStamp,
      ntStatus('STATUS_PATCH_DEFERRED'),
    );
    const base = this.#findBase(patch);
    if (base === undefined) {
      this.#patches.push(patch);
      this.kernel.events.emit({
        kind: 'patchDeferred',
        text: `patch ${name}: no loaded image has checksum ${hex(originalCheckSum)} and timestamp ${hex(originalTimeDateStamp)}: deferred (STATUS_PATCH_DEFERRED)`,
      });
      return patch;
    }
    yield* this.#apply(patch, base, options);
    this.#patches.push(patch);
    return patch;
  }

  /**
   * Takes the newest patch of a base back: each function's entry gets its original bytes, from the undo table. The
   * patch image stays mapped, because old frames and pointers may still lead into it.
   */
  unloadPatch(patch: Patch): void {
    drive(this.unloadPatchSteps(patch));
  }

  *unloadPatchSteps(patch: Patch): Generator<EngineStep, void> {
    const { base } = patch;
    const record = base === undefined ? undefined : this.#records.get(base);
    if (base === undefined || record === undefined || record.activePatch !== patch)
      throw new HotPatchError({
        rule: 'unload.notActive',
        status: 'STATUS_INVALID_PARAMETER',
        image: patch.name,
        message: `this patch is ${patch.state}; only the newest patch that is applied can be unloaded`,
      });
    this.#emit({ kind: 'revertBegun', text: `revert ${patch.name} from ${base.baseDllName}` });
    const journal = new Journal(this.kernel);
    const applier = new Applier(this.kernel, this.#form, journal);
    const entries = [...record.undo];
    const gather = entries.some(([, entry]) => this.#form.needsRendezvous(base.address(entry.rva)));
    try {
      if (gather) yield this.#emit(rendezvous('begin'));
      for (const [index, entry] of entries) yield* this.#emitAll(applier.revert(record, index, entry));
      if (gather) yield this.#emit(rendezvous('end'));
      yield this.#emit(applier.serialise());
      yield* this.#emitAll(this.#restorePadding(journal, base, entries));
      yield this.#emit(applier.serialise());
    } catch (error) {
      journal.rollBack();
      this.kernel.machine.serialise();
      throw error;
    }
    record.activePatch = undefined;
    base.activePatchImageBase = undefined;
    base.hotPatchState = 'BaseImage';
    if (patch.loaded !== undefined) patch.loaded.hotPatchState = 'NotApplied';
    patch.state = 'reverted';
    patch.functions = 0;
    this.#emit({
      kind: 'reverted',
      text: `${base.baseDllName} runs its original code again (STATUS_SUCCESS)`,
    });
  }

  /**
   * Modelled: Windows leaves the jumps in the padding. Nothing leads to them once the entries are original and every
   * processor is serialised, unless a thread stands on one of them; then they are left.
   */
  *#restorePadding(journal: Journal, base: LoadedImage, entries: readonly (readonly [number, UndoEntry])[]) {
    const size = BigInt(this.#form.paddingUsed);
    const inPadding = (entry: UndoEntry) => {
      const location = base.address(entry.rva);
      return this.kernel.threads.some((thread) => thread.pc >= location - size && thread.pc < location);
    };
    for (const [, entry] of entries) {
      if (entry.paddingBytes.length === 0 || inPadding(entry)) continue;
      const location = base.address(entry.rva);
      yield journal.store(base, 'padding', location - size, entry.paddingBytes, base.describe(location));
    }
  }

  *#apply(patch: Patch, base: LoadedImage, options: LoadPatchOptions): Generator<EngineStep, void> {
    const baseRecord = this.record(base);
    if (patch.sequenceNumber <= baseRecord.sequenceNumber)
      throw new HotPatchError({
        rule: 'sequence.notNewer',
        status: 'STATUS_REQUEST_OUT_OF_SEQUENCE',
        image: patch.name,
        message: `sequence number ${patch.sequenceNumber} is not above ${baseRecord.sequenceNumber}, which is applied to ${base.baseDllName}`,
      });
    refuseFindings(validateHotPatch(patch.image, base.image), patch.name);
    const loaded = this.kernel.loadImage(patch.image, {
      name: patch.name,
      loadReason: 'PatchImage',
      ...(options.symbols === undefined ? {} : { symbols: options.symbols }),
    });
    const journal = new Journal(this.kernel);
    try {
      const plan = this.#plan(patch, baseRecord, this.record(loaded));
      this.#emit({
        kind: 'applyBegun',
        text: `apply ${patch.name} (sequence ${patch.sequenceNumber}) to ${base.baseDllName}: ${plan.backward.length} backward, ${plan.forward.length} forward record(s)`,
      });
      yield* this.#emitAll(new Applier(this.kernel, this.#form, journal).apply(plan));
      this.#commit(patch, plan);
    } catch (error) {
      journal.rollBack();
      this.kernel.machine.serialise();
      this.#records.delete(loaded);
      this.kernel.unloadImage(loaded);
      patch.state = 'failed';
      throw asHotPatchError(error, patch.name);
    }
  }

  #plan(patch: Patch, base: ImageRecord, loaded: ImageRecord): PatchPlan {
    const table = patch.image.hotPatch;
    if (table === undefined) throw new Error('the table was checked before');
    return planPatch(table, base, loaded, this.#form);
  }

  #commit(patch: Patch, plan: PatchPlan): void {
    const { base, patch: loaded } = plan;
    const previous = base.activePatch;
    if (previous !== undefined) {
      previous.state = 'superseded';
      previous.functions = 0;
    }
    base.activePatch = patch;
    base.image.activePatchImageBase = loaded.image.dllBase;
    base.image.hotPatchState = 'AppliedForward';
    loaded.image.hotPatchState = 'AppliedReverse';
    patch.base = base.image;
    patch.loaded = loaded.image;
    patch.functions = plan.forward.length;
    patch.state = 'applied';
    patch.status = ntStatus('STATUS_SUCCESS');
    this.#emit({
      kind: 'applied',
      text: `${patch.name} is applied: ${plan.forward.length} function(s) of ${base.image.baseDllName} lead to ${formatAddress(this.kernel.machine.architecture.name, loaded.image.dllBase)} (STATUS_SUCCESS)`,
    });
  }

  #findBase(patch: Patch): LoadedImage | undefined {
    return this.kernel.domain.images.find((image) => isBaseOf(image, patch));
  }

  /** A base that comes after its patch is patched before its first instruction runs. */
  #applyDeferred(image: LoadedImage): void {
    if (image.loadReason === 'PatchImage') return;
    for (const patch of this.#patches)
      if (patch.state === 'deferred' && isBaseOf(image, patch)) drive(this.#apply(patch, image, {}));
  }

  *#emitAll(steps: Generator<EngineStep, void>): Generator<EngineStep, void> {
    for (const step of steps) yield this.#emit(step);
  }

  #emit<E extends { kind: string; text: string }>(event: E): E {
    this.kernel.events.emit(event);
    return event;
  }
}

function isBaseOf(image: LoadedImage, patch: Patch): boolean {
  return (
    image.loadReason !== 'PatchImage' &&
    image.checkSum === patch.originalCheckSum &&
    image.timeDateStamp === patch.originalTimeDateStamp
  );
}

/** Runs an operation through without letting processors run in between. */
function drive<T>(steps: Generator<EngineStep, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

function refuseFindings(findings: readonly Finding[], image: string): void {
  const finding = findings.find((candidate) => candidate.severity === 'error');
  if (finding === undefined) return;
  throw new HotPatchError({
    rule: finding.rule,
    status: finding.status.name,
    image,
    place: finding.place,
    message: finding.message,
  });
}

function asHotPatchError(error: unknown, image: string): unknown {
  if (error instanceof HotPatchError || error instanceof GuestCrash) return error;
  if (!(error instanceof KernelError)) return error;
  return new HotPatchError({
    rule: error.rule,
    status: error.status.name,
    image,
    message: error.reason,
    cause: error,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  });
}
