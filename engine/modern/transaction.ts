import {
  BugCheck,
  type Crash,
  changeHotPatchState,
  type ImageDomain,
  type Kernel,
  MEMORY_MANAGEMENT,
} from '../../loader/index.js';
import {
  type CalloutPhase,
  type ChangeFacts,
  changeLiveCode,
  type EngineStep,
  HotPatchError,
  isAlive,
  type LivePart,
  Operation,
  storeAsOwner,
  whileAlive,
} from '../core/index.js';
import type { Application } from './application.js';
import { Applier } from './apply.js';
import { type CalloutStep, callPatchMain, failed } from './callout.js';
import { editRecord, type ImageRecord, VAD_HOT_PATCH_STATE } from './image-record.js';
import { threadOnTheWay } from './on-the-way.js';
import type { Patch } from './patch.js';
import type { PatchPlan } from './plan.js';

/** Second parameter of bugcheck 0x1A when a driver's callout fails (docs/fidelity.md#application). */
const CALLOUT_BUG_CHECK: Record<1 | 2, bigint> = { 1: 0x48501bn, 2: 0x48501cn };
/** SYSTEM_THREAD_EXCEPTION_NOT_HANDLED (bugcodes.h). */
const SYSTEM_THREAD_EXCEPTION_NOT_HANDLED = 0x7e;
/** FAST_FAIL_PATCH_CALLBACK_FAILED ends a process with this status. */
const STATUS_STACK_BUFFER_OVERRUN = 0xc0000409;

/** When a patch comes to its bases (docs/fidelity.md#u-23). */
export interface Moment {
  /** While a process initialises there is nobody who could run a callout. */
  readonly callouts: boolean;
  /** False: a base has just been loaded, and nobody has executed anything of it. */
  readonly isRunning: boolean;
}

/**
 * One patch and every address space that its base is mapped in, as one unit: backward everywhere, callout 0, forward
 * everywhere, callout 1. Whatever fails on the way takes back every store in every address space.
 */
export class PatchTransaction {
  readonly #operation: Operation;
  readonly #applier: Applier;

  constructor(
    private readonly kernel: Kernel,
    private readonly patch: Patch,
    private readonly plans: readonly PatchPlan[],
    private readonly when: Moment,
  ) {
    this.#operation = new Operation(kernel, storeAsOwner);
    this.#applier = new Applier(this.#operation);
  }

  *run(): Generator<EngineStep, Application[]> {
    let hasFailed = false;
    // Patch images keep what was stored into them: they are unmapped, or a thread is in them and goes on as it has begun.
    // So does the way from an entry of the base to them while a thread is on it.
    const isKept = ({ image, isOnTheWay = false }: ChangeFacts): boolean => {
      const plan = this.plans.find(({ base, patch }) => patch.image === image || base.image === image);
      if (plan === undefined || plan.patch.image === image) return plan !== undefined;
      return isOnTheWay && threadOnTheWay(this.kernel, plan) !== undefined;
    };
    try {
      yield* this.#operation.run(() => this.#steps(() => (hasFailed = true)), isKept);
    } finally {
      if (hasFailed) for (const plan of this.plans) markFailed(plan);
    }
    return this.plans.filter(isPlanAlive).map((plan) => this.#complete(plan));
  }

  /** @param failed told when forward application fails */
  *#steps(failed: () => void): Generator<EngineStep, void> {
    for (const plan of this.plans) yield* this.#backward(plan);
    for (const plan of this.plans) yield* this.#callout(plan, 0);
    try {
      yield* forward(this.#operation, this.plans, this.#applier, this.when.isRunning);
      for (const plan of this.plans) yield* this.#callout(plan, 1);
    } catch (error) {
      // The system has stopped: nothing more happens to it.
      if (error instanceof BugCheck) throw error;
      failed();
      yield* this.#cancelled();
      throw error;
    }
  }

  *#backward(plan: PatchPlan): Generator<EngineStep, void> {
    const { domain } = plan.base.image;
    using _ = attach(this.#operation, domain);
    yield* whileAlive(domain, this.#backwardSteps(plan));
    if (isAlive(domain)) this.#setBackwardApplied(plan);
  }

  *#backwardSteps(plan: PatchPlan): Generator<EngineStep, void> {
    yield* this.#applier.backward(plan);
    yield* this.#applier.callTargets(plan);
  }

  /** A failing callout aborts cleanly before forward application; after it, nothing can be taken back safely. */
  *#callout(plan: PatchPlan, phase: CalloutPhase): Generator<EngineStep, void> {
    if (!this.when.callouts || !isPlanAlive(plan)) return;
    const step = callPatchMain(this.kernel, plan.patch.image, phase);
    if (step === undefined) return;
    yield this.#operation.emit(step);
    if (!isPlanAlive(plan)) return;
    if (step.crash !== undefined) throw unhandled(step.crash, step);
    if (failed(step)) this.#failed(plan, phase, step);
  }

  #failed(plan: PatchPlan, phase: CalloutPhase, step: CalloutStep): void {
    if (phase === 0)
      throw new HotPatchError({
        rule: 'callout.failed',
        status: 'STATUS_UNSUCCESSFUL',
        image: this.patch.name,
        message: `the callout refused the patch in phase 0 with 0x${step.status.toString(16)}`,
      });
    this.#endOf(plan, phase, step);
  }

  /** What a callout that fails too late ends: the process, by fast fail 68, or the system. */
  #endOf({ patch: { image } }: PatchPlan, phase: 1 | 2, step: CalloutStep): void {
    const { process } = image.domain;
    const reason = `the callout of ${image.baseDllName} failed in phase ${phase}`;
    if (process === undefined)
      throw new BugCheck(
        MEMORY_MANAGEMENT,
        [CALLOUT_BUG_CHECK[phase], BigInt(step.status), image.dllBase, 0n],
        reason,
      );
    this.#operation.tell(
      'fastFail',
      `  FAST_FAIL_PATCH_CALLBACK_FAILED (68) in ${process.name} (${process.id}): ${reason}`,
    );
    process.terminate(STATUS_STACK_BUFFER_OVERRUN);
  }

  /** Forward application failed: the patch images hear of it, in phase 2. */
  *#cancelled(): Generator<EngineStep, void> {
    for (const plan of this.plans) yield* this.#callout(plan, 2);
  }

  #setBackwardApplied({ base, patch }: PatchPlan): void {
    const record = editRecord(base);
    const before = record.vadState;
    this.#operation.change(
      () => {
        record.vadState = VAD_HOT_PATCH_STATE.inProgress;
      },
      () => {
        record.vadState = before;
      },
    );
    editRecord(patch).vadState = VAD_HOT_PATCH_STATE.patchReverseApplied;
    changeHotPatchState(patch.image, { hotPatchState: 'AppliedReverse' });
  }

  #complete({ base, patch, forward }: PatchPlan): Application {
    const application = { patch: this.patch, base, loaded: patch.image, functions: forward.length };
    editRecord(base).add(application);
    putInForce(base);
    return application;
  }
}

/** In a process an exception that nobody handles has ended that process; anywhere else it ends the system. */
function unhandled(crash: Crash, { status, text }: CalloutStep): BugCheck {
  return new BugCheck(
    SYSTEM_THREAD_EXCEPTION_NOT_HANDLED,
    [BigInt(status), crash.fault?.instruction ?? 0n, 0n, 0n],
    text.trim(),
  );
}

/** Forward application of plans, each in its address space. */
export function* forward(
  operation: Operation,
  plans: readonly PatchPlan[],
  applier: Applier,
  isRunning = true,
): Generator<EngineStep, void> {
  const parts = plans.map((plan) =>
    livePart(operation, plan.base, {
      stage: () => applier.stage(plan),
      commit: () => applier.commit(plan),
    }),
  );
  yield* changeLiveCode(operation, parts, gathering(isRunning && plans.some((plan) => plan.rendezvous)));
}

export function livePart(
  operation: Operation,
  { image: { domain } }: ImageRecord,
  steps: Required<Pick<LivePart, 'stage' | 'commit'>>,
): LivePart {
  return { domain, attach: () => attach(operation, domain), ...steps };
}

/** @param needed Could one of the stores be seen in halves? */
export function gathering(needed: boolean): string | undefined {
  return needed ? 'all processors are gathered: an entry store could be seen in halves' : undefined;
}

/** The engine reaches a session's space through the HotPatch process, which attaches to one session at a time (docs/fidelity.md#the-system-around-it). */
function attach(operation: Operation, { kind, session }: ImageDomain): Disposable {
  if (kind !== 'session' || session === undefined) return { [Symbol.dispose]: () => undefined };
  operation.tell('sessionAttached', `  the HotPatch process attaches to session ${session.id}`);
  return operation.kernel.attachSession(session);
}

/** Makes the loader's fields tell which patch is in force: the newest application, or none. */
export function putInForce(base: ImageRecord): void {
  const { image, active } = base;
  editRecord(base).vadState =
    active === undefined ? VAD_HOT_PATCH_STATE.none : VAD_HOT_PATCH_STATE.patchedBase;
  changeHotPatchState(image, {
    hotPatchState: active === undefined ? 'BaseImage' : 'AppliedForward',
    activePatchImageBase: active?.loaded.dllBase,
  });
  const { environment } = image.domain.process ?? {};
  // ProcessImagesHotPatched of PEB.CrossProcessFlags stays set.
  environment?.noteHotPatch();
}

/** The loader data table of a process remembers that forward application failed; later patches conflict (docs/fidelity.md#application). */
function markFailed({ base }: PatchPlan): void {
  if (base.image.domain.kind === 'user') changeHotPatchState(base.image, { hotPatchState: 'FailedToPatch' });
}

function isPlanAlive({ base }: PatchPlan): boolean {
  return isAlive(base.image.domain);
}
