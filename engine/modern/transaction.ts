import {
  BugCheck,
  type Crash,
  type ImageDomain,
  type Kernel,
  type LabEvent,
  MEMORY_MANAGEMENT,
} from '../../loader/index.js';
import { HotPatchError } from '../core/error.js';
import { Journal } from '../core/journal.js';
import type { CalloutPhase, EngineStep } from '../core/steps.js';
import type { Application } from './application.js';
import { Applier, rendezvous } from './apply.js';
import { type CalloutStep, callPatchMain, failed } from './callout.js';
import { type ImageRecord, VAD_HOT_PATCH_STATE } from './image-record.js';
import type { Patch } from './patch.js';
import type { PatchPlan } from './plan.js';

/** Second parameter of bugcheck 0x1A when a driver's callout fails (docs/fidelity.md#application). */
const CALLOUT_BUG_CHECK: Record<1 | 2, bigint> = { 1: 0x48501bn, 2: 0x48501cn };
/** SYSTEM_THREAD_EXCEPTION_NOT_HANDLED (bugcodes.h). */
const SYSTEM_THREAD_EXCEPTION_NOT_HANDLED = 0x7e;
/** FAST_FAIL_PATCH_CALLBACK_FAILED ends a process with this status. */
const STATUS_STACK_BUFFER_OVERRUN = 0xc0000409;

export interface TransactionContext {
  readonly kernel: Kernel;
  /** Tells the transcript. */
  emit<E extends LabEvent>(event: E): E;
}

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
  readonly #journal: Journal;
  readonly #applier: Applier;

  constructor(
    private readonly context: TransactionContext,
    private readonly patch: Patch,
    private readonly plans: readonly PatchPlan[],
    private readonly when: Moment,
  ) {
    this.#journal = new Journal(context.kernel);
    this.#applier = new Applier(context.kernel, this.#journal);
  }

  *run(): Generator<EngineStep, Application[]> {
    let forwardBegun = false;
    let committed = false;
    let hasFailed = false;
    try {
      for (const plan of this.plans) yield* this.#backward(plan);
      for (const plan of this.plans) yield* this.#callout(plan, 0);
      forwardBegun = true;
      yield* forward(this.context, this.plans, this.#applier, this.when.isRunning);
      for (const plan of this.plans) yield* this.#callout(plan, 1);
      committed = true;
    } catch (error) {
      hasFailed = forwardBegun;
      // The system has stopped: nothing more happens to it.
      committed = error instanceof BugCheck;
      if (forwardBegun && !committed) yield* this.#cancelled();
      throw error;
    } finally {
      // Whoever steps through it may also leave it on the way, before the last callout has come back.
      if (!committed) this.#takeBack(hasFailed);
    }
    return this.plans.filter(isAlive).map((plan) => this.#complete(plan));
  }

  #takeBack(forwardFailed: boolean): void {
    // Patch images keep what was stored into them: they are unmapped, or a thread is in them and goes on as it has begun.
    this.#journal.rollBack(this.plans.map(({ patch }) => patch.image));
    this.context.kernel.machine.serialise();
    if (forwardFailed) for (const plan of this.plans) markFailed(plan);
  }

  *#backward(plan: PatchPlan): Generator<EngineStep, void> {
    using _ = attach(this.context, plan.base.image.domain);
    for (const step of this.#backwardSteps(plan)) {
      yield this.context.emit(step);
      if (!isAlive(plan)) return;
    }
    this.#setBackwardApplied(plan);
  }

  *#backwardSteps(plan: PatchPlan): Generator<EngineStep, void> {
    if (!isAlive(plan)) return;
    yield* this.#applier.backward(plan);
    yield* this.#applier.callTargets(plan);
  }

  /** A failing callout aborts cleanly before forward application; after it, nothing can be taken back safely. */
  *#callout(plan: PatchPlan, phase: CalloutPhase): Generator<EngineStep, void> {
    if (!this.when.callouts || !isAlive(plan)) return;
    const step = callPatchMain(this.context.kernel, plan.patch.image, phase);
    if (step === undefined) return;
    yield this.context.emit(step);
    if (!isAlive(plan)) return;
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
    this.context.emit({
      kind: 'fastFail',
      text: `  FAST_FAIL_PATCH_CALLBACK_FAILED (68) in ${process.name} (${process.id}): ${reason}`,
    });
    process.terminate(STATUS_STACK_BUFFER_OVERRUN);
  }

  /** Forward application failed: the patch images hear of it, in phase 2. */
  *#cancelled(): Generator<EngineStep, void> {
    for (const plan of this.plans) yield* this.#callout(plan, 2);
  }

  #setBackwardApplied({ base, patch }: PatchPlan): void {
    const baseBefore = base.vadState;
    this.#journal.change(
      () => {
        base.vadState = VAD_HOT_PATCH_STATE.inProgress;
      },
      () => {
        base.vadState = baseBefore;
      },
    );
    patch.vadState = VAD_HOT_PATCH_STATE.patchReverseApplied;
    patch.image.hotPatchState = 'AppliedReverse';
  }

  #complete({ base, patch, forward }: PatchPlan): Application {
    const application = { patch: this.patch, base, loaded: patch.image, functions: forward.length };
    base.applications.push(application);
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
  context: TransactionContext,
  plans: readonly PatchPlan[],
  applier: Applier,
  isRunning = true,
): Generator<EngineStep, void> {
  const parts = plans.map(
    (plan): LivePart => ({
      base: plan.base,
      rendezvous: isRunning && plan.rendezvous,
      stage: () => applier.stage(plan),
      commit: () => applier.commit(plan),
    }),
  );
  yield* changeLiveCode(context, parts, applier);
}

/** A change of the code of one base that processors may be executing. */
export interface LivePart {
  readonly base: ImageRecord;
  /** Could one of its stores be seen in halves? */
  readonly rendezvous: boolean;
  /** Stores that nothing leads to yet, and data slots. */
  stage(): Generator<EngineStep, void>;
  /** Stores at entries. */
  commit(): Generator<EngineStep, void>;
}

/**
 * Stages all parts, serialises every processor, commits all parts, and serialises every processor again: none may
 * execute the jump at an entry and then, out of what it fetched before, the old bytes of a trampoline. Where a store
 * could be seen in halves all processors are gathered for the whole of it, and let go however it ends.
 * @throws KernelError `rendezvous.timeout` before the first step when a processor does not come
 */
export function* changeLiveCode(
  context: TransactionContext,
  parts: readonly LivePart[],
  applier: Applier,
): Generator<EngineStep, void> {
  const { kernel, emit } = context;
  if (!parts.some((part) => part.rendezvous)) {
    let newTrampolines = false;
    for (const step of each('stage')) {
      newTrampolines ||= step.kind === 'undoEntrySaved';
      yield step;
    }
    if (newTrampolines) yield emit(applier.serialise());
    yield* each('commit');
    yield emit(applier.serialise());
    return;
  }
  {
    using _ = kernel.gatherProcessors();
    yield emit(rendezvous('begin'));
    yield* each('stage');
    yield* each('commit');
    // Before they are let go: Arm allows no processor to execute a replaced instruction unsynchronised.
    yield emit(applier.serialise());
  }
  yield emit(rendezvous('end'));

  function* each(phase: 'stage' | 'commit'): Generator<EngineStep, void> {
    for (const part of parts) {
      using _ = attach(context, part.base.image.domain);
      for (const step of whileAlive(part, part[phase]())) yield emit(step);
    }
  }
}

/** The engine reaches a session's space through the HotPatch process, which attaches to one session at a time (docs/fidelity.md#the-system-around-it). */
export function attach({ kernel, emit }: TransactionContext, { kind, session }: ImageDomain): Disposable {
  if (kind !== 'session' || session === undefined) return { [Symbol.dispose]: () => undefined };
  emit({ kind: 'sessionAttached', text: `  the HotPatch process attaches to session ${session.id}` });
  return kernel.attachSession(session);
}

/** Makes the loader's fields tell which patch is in force: the newest application, or none. */
export function putInForce(base: ImageRecord): void {
  const { image, active } = base;
  base.vadState = active === undefined ? VAD_HOT_PATCH_STATE.none : VAD_HOT_PATCH_STATE.patchedBase;
  image.hotPatchState = active === undefined ? 'BaseImage' : 'AppliedForward';
  image.activePatchImageBase = active?.loaded.dllBase;
  const { environment } = image.domain.process ?? {};
  // ProcessImagesHotPatched of PEB.CrossProcessFlags stays set.
  if (environment !== undefined) environment.imagesHotPatched = true;
}

/** The loader data table of a process remembers that forward application failed; later patches conflict (2.5). */
function markFailed({ base }: PatchPlan): void {
  if (base.image.domain.kind === 'user') base.image.hotPatchState = 'FailedToPatch';
}

/** Steps at one base, as far as its process lets them come. */
export function* whileAlive(
  part: { readonly base: ImageRecord },
  steps: Generator<EngineStep, void>,
): Generator<EngineStep, void> {
  if (!isAlive(part)) return;
  for (const step of steps) {
    yield step;
    if (!isAlive(part)) return;
  }
}

/** A process may end while it is being patched; the others go on. */
export function isAlive({ base }: { readonly base: ImageRecord }): boolean {
  return base.image.domain.process?.terminated !== true;
}
