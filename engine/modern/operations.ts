import { formatAddress } from '../../cpu/index.js';
import { ntStatus, validateHotPatch } from '../../image/index.js';
import type { Kernel, LoadedImage, PlainEventKind } from '../../loader/index.js';
import {
  asHotPatchError,
  type EngineStep,
  HotPatchError,
  nameInReports,
  refuseFindings,
  refuseOccupied,
  threadsIn,
} from '../core/index.js';
import type { Application } from './application.js';
import type { ImageRecord } from './image-record.js';
import { threadOnTheWay } from './on-the-way.js';
import { changePatch, type Patch } from './patch.js';
import { checkUndoTable, type PatchPlan, type PlanOptions, planPatch } from './plan.js';
import { notInForce, refuseImportOfBase } from './refusals.js';
import { type Revert, revertPatch } from './revert.js';
import { checkSequence } from './sequence.js';
import { type Moment, PatchTransaction } from './transaction.js';

export interface OperationsContext {
  readonly kernel: Kernel;
  readonly planOptions: PlanOptions;
  /** A patch must be newer than the one in force. */
  readonly enforcesSequence: boolean;
  record(image: LoadedImage): ImageRecord;
}

/** Applies a patch to bases, and takes it back: mapping, planning, the transaction, and what everybody is told. */
export class PatchOperations {
  constructor(private readonly context: OperationsContext) {}

  /**
   * Applies a patch to all bases or to none, but for processes whose own copy of the base it does not fit.
   * @returns the bases of those processes, which have been told of
   */
  *apply(
    patch: Patch,
    bases: readonly LoadedImage[],
    when: Moment,
  ): Generator<EngineStep, readonly LoadedImage[]> {
    const loaded: LoadedImage[] = [];
    let applied = false;
    let plans: readonly PatchPlan[] = [];
    try {
      const planned = this.#planApplications(patch, bases, loaded);
      const { leftOut } = planned;
      plans = planned.plans;
      for (const plan of plans)
        this.#tell(
          'applyBegun',
          `apply ${patch.name} (sequence ${patch.sequenceNumber}) to ${plan.base.image.baseDllName}: ${plan.backward.length} backward, ${plan.forward.length} forward record(s)`,
        );
      const applications = yield* new PatchTransaction(this.context.kernel, patch, plans, when).run();
      this.#complete(patch, applications);
      applied = true;
      return leftOut;
    } catch (error) {
      throw asHotPatchError(error, patch.name);
    } finally {
      if (!applied) this.#discard(loaded, plans);
    }
  }

  /**
   * A program may have changed its private copy of the base; that is no reason to leave the others unpatched. When the
   * patch fits nowhere, the first refusal is that of all.
   */
  #planApplications(
    patch: Patch,
    bases: readonly LoadedImage[],
    loaded: LoadedImage[],
  ): { readonly plans: readonly PatchPlan[]; readonly leftOut: readonly LoadedImage[] } {
    const plans: PatchPlan[] = [];
    const refused: { readonly base: LoadedImage; readonly error: HotPatchError }[] = [];
    for (const base of bases) {
      const mapped: LoadedImage[] = [];
      try {
        plans.push(naming(base, () => this.#planApplication(patch, base, mapped)));
        loaded.push(...mapped);
      } catch (error) {
        if (!isOfOneCopy(error, base)) {
          loaded.push(...mapped);
          throw error;
        }
        this.#discard(mapped, []);
        refused.push({ base, error });
      }
    }
    const [first] = refused;
    if (first !== undefined && plans.length === 0) throw first.error;
    for (const { base, error } of refused)
      this.#tell('lateBaseFailed', `${base.domain.name} goes on unpatched: ${error.message}`);
    return { plans, leftOut: refused.map(({ base }) => base) };
  }

  /** Unmaps the patch images, but for those that a thread has come into before another place failed (docs/fidelity.md#u-15). */
  #discard(loaded: readonly LoadedImage[], plans: readonly PatchPlan[]): void {
    const { kernel } = this.context;
    // Nothing happens any more to a system that has stopped.
    if (kernel.bugChecks.current !== undefined) return;
    for (const image of loaded.filter(({ isMapped }) => isMapped)) {
      const plan = plans.find(({ patch }) => patch.image === image);
      const holder = threadsIn(kernel, image)[0] ?? (plan && threadOnTheWay(kernel, plan));
      if (holder === undefined) kernel.unloadImage(image);
      else
        this.#tell(
          'patchImageHeld',
          `${image.baseDllName} stays mapped in ${image.domain.name}: ${holder.text}`,
        );
    }
  }

  /** Takes the patch back wherever it is in force, in processes too that have started since the revert began. */
  *revert(patch: Patch): Generator<EngineStep, ImageRecord[]> {
    try {
      return yield* this.#revert(patch);
    } catch (error) {
      throw asHotPatchError(error, patch.name);
    }
  }

  /** Takes the patch back from one base. It stays registered: others keep it, and images that come later get it. */
  *undo(patch: Patch, base: ImageRecord, loaded: LoadedImage): Generator<EngineStep, void> {
    const { active } = base;
    if (active?.patch !== patch || active.loaded !== loaded) throw notInForce(patch);
    try {
      this.#tell(
        'revertBegun',
        `revert ${patch.name} from ${base.image.baseDllName} in ${base.image.domain.name}`,
      );
      yield* revertPatch(this.context.kernel, [this.#planRevert(active)]);
    } catch (error) {
      throw asHotPatchError(error, patch.name);
    }
    const applications = patch.applications.filter((application) => application !== active);
    const isElsewhere = applications.some((application) =>
      application.base.applications.includes(application),
    );
    changePatch(patch, { applications, ...(isElsewhere ? {} : { state: 'deferred' }) });
    this.#tellReverted(base);
  }

  *#revert(patch: Patch): Generator<EngineStep, ImageRecord[]> {
    const reverted: ImageRecord[] = [];
    let isInForce = false;
    for (let reverts = this.#planReverts(patch); reverts.length > 0; reverts = this.#planReverts(patch)) {
      const names = reverts.map(({ application }) => application.base.image.baseDllName);
      this.#tell('revertBegun', `revert ${patch.name} from ${names.join(', ')}`);
      isInForce = true;
      reverted.push(...(yield* revertPatch(this.context.kernel, reverts)));
    }
    if (!isInForce) throw notInForce(patch);
    changePatch(patch, { state: 'reverted' });
    for (const base of reverted) this.#tellReverted(base);
    return reverted;
  }

  #planReverts(patch: Patch): Revert[] {
    return patch.applications
      .filter((application) => application.base.applications.includes(application))
      .map((application) => this.#planRevert(application));
  }

  /** Maps the patch image beside the base and plans everything; nothing of the base is changed yet. */
  #planApplication(patch: Patch, base: LoadedImage, loaded: LoadedImage[]): PatchPlan {
    const record = this.context.record(base);
    if (base.hotPatchState === 'FailedToPatch')
      throw new HotPatchError({
        rule: 'base.failedToPatch',
        status: 'STATUS_PATCH_CONFLICT',
        image: patch.name,
        message: `an earlier patch of ${base.baseDllName} failed in its forward application`,
      });
    checkSequence(patch, record, this.context.enforcesSequence);
    refuseFindings(validateHotPatch(patch.image, base.image), patch.name);
    refuseImportOfBase(patch, base);
    const image = this.context.kernel.loadImage(patch.image, {
      domain: base.domain,
      name: patch.name,
      loadReason: 'PatchImage',
      symbols: patch.symbols,
    });
    loaded.push(image);
    const plan = planPatch(patch.table, record, this.context.record(image), this.context.planOptions);
    // Looked at again when the jumps are stored; what fails then leaves the base marked as failed.
    for (const { unsafe, symbol } of plan.forward)
      refuseOccupied(this.context.kernel, { domain: base.domain, unsafe, symbol });
    return plan;
  }

  #complete(patch: Patch, applications: readonly Application[]): void {
    if (applications.length === 0) return; // every process that had the base has ended
    changePatch(patch, {
      state: 'applied',
      status: ntStatus('STATUS_SUCCESS'),
      applications: [...patch.applications, ...applications],
    });
    for (const { base, loaded, functions } of applications) {
      const previous = base.applications.at(-2);
      if (previous !== undefined) changePatch(previous.patch, { state: 'superseded' });
      this.#tell(
        'applied',
        `${patch.name} is applied: ${functions} function(s) of ${base.image.baseDllName} lead into ${loaded.baseDllName} at ${formatAddress(this.context.kernel.machine.architecture.name, loaded.dllBase)} (STATUS_SUCCESS)`,
      );
    }
  }

  #planRevert(application: Application): Revert {
    const { base } = application;
    if (base.active !== application) throw notInForce(application.patch);
    checkUndoTable(base, application.patch.name);
    const previous = base.applications.at(-2);
    if (previous === undefined) return { application, previous: undefined };
    return {
      application,
      previous: planPatch(previous.patch.table, base, this.context.record(previous.loaded), {
        ...this.context.planOptions,
        forwardOnly: true,
      }),
    };
  }

  #tellReverted(base: ImageRecord): void {
    const { active, image } = base;
    if (active !== undefined) changePatch(active.patch, { state: 'applied' });
    this.#tell(
      'reverted',
      active === undefined
        ? `${image.baseDllName} runs its original code again (STATUS_SUCCESS)`
        : `${image.baseDllName} runs ${active.patch.name} again (STATUS_SUCCESS)`,
    );
  }

  #tell(kind: PlainEventKind, text: string): void {
    this.context.kernel.events.tell(kind, text);
  }
}

/** Whatever is refused says whose address space it is about. */
function naming<T>(base: LoadedImage, plan: () => T): T {
  try {
    return plan();
  } catch (error) {
    throw error instanceof HotPatchError ? error.in(nameInReports(base.domain)) : error;
  }
}

/** Does it say that one process's private copy of the base differs? What may be tried again concerns everybody. */
function isOfOneCopy(error: unknown, { domain }: LoadedImage): error is HotPatchError {
  return (
    error instanceof HotPatchError &&
    domain.kind === 'user' &&
    (error.rule === 'record.originalBytes' || error.rule.startsWith('function.'))
  );
}
