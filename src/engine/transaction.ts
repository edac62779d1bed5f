import { BugCheck, type Kernel, type LoadedImage, MEMORY_MANAGEMENT } from '../loader/index.js';
import type { Application } from './application.js';
import { Applier, rendezvous } from './apply.js';
import { callPatchMain, failed } from './callout.js';
import { HotPatchError } from './error.js';
import { type ImageRecord, VAD_HOT_PATCH_STATE } from './image-record.js';
import { Journal } from './journal.js';
import type { Patch } from './patch.js';
import type { PatchPlan } from './plan.js';
import type { CalloutPhase, EngineStep } from './steps.js';

/** Second parameter of bugcheck 0x1A when a driver's callout fails (windows-hotpatching.md 2.5). */
const CALLOUT_BUG_CHECK: Record<1 | 2, bigint> = { 1: 0x48501bn, 2: 0x48501cn };

export interface TransactionContext {
  readonly kernel: Kernel;
  /** Tells the transcript. */
  emit<E extends { kind: string; text: string }>(event: E): E;
}

/**
 * One patch and every address space that its base is mapped in, as one unit: backward everywhere, callout 0, forward
 * everywhere, callout 1. Whatever fails on the way takes back every store in every address space.
 */
export class PatchTransaction {
  readonly #journal: Journal;
  readonly #applier: Applier;

  constructor(
    private readonly context: TransactionContext,
    private readonly patch: Patch,
    private readonly plans: readonly PatchPlan[],
  ) {
    this.#journal = new Journal(context.kernel);
    this.#applier = new Applier(context.kernel, this.#journal);
  }

  *run(): Generator<EngineStep, Application[]> {
    let forwardBegun = false;
    try {
      for (const plan of this.plans) yield* this.#emitAll(this.#applier.backward(plan));
      for (const plan of this.plans) this.#setBackwardApplied(plan);
      for (const plan of this.plans) yield* this.#callout(plan.patch.image, 0);
      forwardBegun = true;
      yield* this.#forward();
    } catch (error) {
      if (forwardBegun) yield* this.#cancelled();
      this.#journal.rollBack();
      this.context.kernel.machine.serialise();
      throw error;
    }
    for (const plan of this.plans) yield* this.#callout(plan.patch.image, 1);
    return this.plans.map((plan) => this.#complete(plan));
  }

  *#forward(): Generator<EngineStep, void> {
    const { emit } = this.context;
    const gather = this.plans.some((plan) => plan.rendezvous);
    if (gather) yield emit(rendezvous('begin'));
    for (const plan of this.plans) yield* this.#emitAll(this.#applier.forward(plan));
    if (gather) yield emit(rendezvous('end'));
    yield emit(this.#applier.serialise());
  }

  /** A failing callout aborts cleanly before forward application; after it, nothing can be taken back safely. */
  *#callout(loaded: LoadedImage, phase: CalloutPhase): Generator<EngineStep, void> {
    const step = callPatchMain(this.context.kernel, loaded, phase);
    if (step === undefined) return;
    yield this.context.emit(step);
    if (!failed(step)) return;
    if (phase !== 0)
      throw new BugCheck(
        MEMORY_MANAGEMENT,
        [CALLOUT_BUG_CHECK[phase], BigInt(step.status), loaded.dllBase, 0n],
        `the callout of ${loaded.baseDllName} failed in phase ${phase}`,
      );
    throw new HotPatchError({
      rule: 'callout.failed',
      status: 'STATUS_UNSUCCESSFUL',
      image: this.patch.name,
      message: `the callout refused the patch in phase 0 with 0x${step.status.toString(16)}`,
    });
  }

  /** Forward application failed: the patch images hear of it, in phase 2. */
  *#cancelled(): Generator<EngineStep, void> {
    for (const plan of this.plans) yield* this.#callout(plan.patch.image, 2);
  }

  #setBackwardApplied({ base, patch }: PatchPlan): void {
    const baseBefore = base.vadState;
    this.#journal.change(
      () => {
        base.vadState = VAD_HOT_PATCH_STATE.inProgress;
        patch.vadState = VAD_HOT_PATCH_STATE.patchReverseApplied;
        patch.image.hotPatchState = 'AppliedReverse';
      },
      () => {
        base.vadState = baseBefore;
        patch.vadState = VAD_HOT_PATCH_STATE.none;
        patch.image.hotPatchState = 'NotApplied';
      },
    );
  }

  #complete({ base, patch, forward }: PatchPlan): Application {
    const application = { patch: this.patch, base, loaded: patch.image, functions: forward.length };
    base.applications.push(application);
    putInForce(base);
    return application;
  }

  *#emitAll(steps: Generator<EngineStep, void>): Generator<EngineStep, void> {
    for (const step of steps) yield this.context.emit(step);
  }
}

/** Makes the loader's fields tell which patch is in force: the newest application, or none. */
export function putInForce(base: ImageRecord): void {
  const { image, active } = base;
  base.vadState = active === undefined ? VAD_HOT_PATCH_STATE.none : VAD_HOT_PATCH_STATE.patchedBase;
  image.hotPatchState = active === undefined ? 'BaseImage' : 'AppliedForward';
  image.activePatchImageBase = active?.loaded.dllBase;
}
