import { ntStatus } from '../../image/index.js';
import type { LoadedImage } from '../../loader/index.js';
import { HotPatchError } from '../core/error.js';
import { Journal } from '../core/journal.js';
import type { EngineStep } from '../core/steps.js';
import { Applier } from './apply.js';
import { type ImageRecord, VAD_HOT_PATCH_STATE } from './image-record.js';
import { changePatch, type Patch } from './patch.js';
import type { PatchPlan } from './plan.js';
import { asHotPatchError } from './refusals.js';
import { forward as forwardPlans, putInForce, type TransactionContext } from './transaction.js';

/** Flags of MANAGE_HOT_PATCH_APPLY_IMAGE_PATCH (docs/fidelity.md#ntmanagehotpatch). */
export const APPLY_IMAGE_PATCH = { REVERSE: 0x1, FORWARD: 0x2, UNDO: 0x4 } as const;

/** What the loader of a process asks for: one or both phases for one base and the patch image that it mapped. */
export interface ImagePatchRequest {
  readonly base: ImageRecord;
  readonly loaded: LoadedImage;
  readonly record: ImageRecord;
  /** The registered patch that this image is. */
  readonly patch: Patch;
  readonly flags: number;
  plan(forwardOnly: boolean): PatchPlan;
}

/**
 * MiApplyImageHotPatchRequest: the phases that the flags name, in the state machine of the patch image's VAD (reverse
 * demands state 0, forward alone demands 3). Each call is a transaction of its own.
 */
export function* applyImagePatch(
  context: TransactionContext,
  request: ImagePatchRequest,
): Generator<EngineStep, void> {
  const { kernel, emit } = context;
  const { base, record, patch, flags } = request;
  const reverse = (flags & APPLY_IMAGE_PATCH.REVERSE) !== 0;
  const forward = (flags & APPLY_IMAGE_PATCH.FORWARD) !== 0;
  const expected = reverse ? VAD_HOT_PATCH_STATE.none : VAD_HOT_PATCH_STATE.patchReverseApplied;
  if (record.vadState !== expected)
    throw new HotPatchError({
      rule: 'applyImage.state',
      status: 'STATUS_INVALID_STATE_TRANSITION',
      image: patch.name,
      message: `the patch image is in state ${record.vadState}; this phase needs ${expected}`,
    });
  const plan = request.plan(!reverse);
  const journal = new Journal(kernel);
  const applier = new Applier(kernel, journal);
  let done = false;
  let forwardBegun = false;
  try {
    if (reverse) {
      yield* all(applier.backward(plan));
      yield* all(applier.callTargets(plan));
      journal.change(
        () => {
          record.vadState = VAD_HOT_PATCH_STATE.patchReverseApplied;
          record.image.hotPatchState = 'AppliedReverse';
        },
        () => {
          record.vadState = VAD_HOT_PATCH_STATE.none;
          record.image.hotPatchState = 'NotApplied';
        },
      );
    }
    if (!forward) {
      done = true;
      return;
    }
    forwardBegun = true;
    yield* forwardPlans(context, [plan], applier);
    done = true;
  } catch (error) {
    if (forwardBegun) base.image.hotPatchState = 'FailedToPatch';
    throw asHotPatchError(error, patch.name);
  } finally {
    if (!done) {
      journal.rollBack();
      kernel.machine.serialise();
    }
  }
  const application = { patch, base, loaded: request.loaded, functions: plan.forward.length };
  base.applications.push(application);
  changePatch(patch, {
    state: 'applied',
    status: ntStatus('STATUS_SUCCESS'),
    applications: [...patch.applications, application],
  });
  putInForce(base);

  function* all(steps: Generator<EngineStep, void>): Generator<EngineStep, void> {
    for (const step of steps) yield emit(step);
  }
}
