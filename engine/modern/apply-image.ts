import { ntStatus } from '../../image/index.js';
import { changeHotPatchState, type Kernel, type LoadedImage } from '../../loader/index.js';
import { asHotPatchError, type EngineStep, HotPatchError, Operation, storeAsOwner } from '../core/index.js';
import { Applier } from './apply.js';
import { editRecord, type ImageRecord, VAD_HOT_PATCH_STATE } from './image-record.js';
import { changePatch, type Patch } from './patch.js';
import type { PatchPlan } from './plan.js';
import { forward as forwardPlans, putInForce } from './transaction.js';

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
export function* applyImagePatch(kernel: Kernel, request: ImagePatchRequest): Generator<EngineStep, void> {
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
  const operation = new Operation(kernel, storeAsOwner);
  const applier = new Applier(operation);
  let forwardBegun = false;
  try {
    yield* operation.run(function* () {
      if (reverse) yield* reverseSteps();
      forwardBegun = forward;
      if (forward) yield* forwardPlans(operation, [plan], applier);
    });
  } catch (error) {
    if (forwardBegun) changeHotPatchState(base.image, { hotPatchState: 'FailedToPatch' });
    throw asHotPatchError(error, patch.name);
  }
  if (!forward) return;
  const application = { patch, base, loaded: request.loaded, functions: plan.forward.length };
  editRecord(base).add(application);
  changePatch(patch, {
    state: 'applied',
    status: ntStatus('STATUS_SUCCESS'),
    applications: [...patch.applications, application],
  });
  putInForce(base);

  function* reverseSteps(): Generator<EngineStep, void> {
    yield* applier.backward(plan);
    yield* applier.callTargets(plan);
    operation.change(
      () => {
        editRecord(record).vadState = VAD_HOT_PATCH_STATE.patchReverseApplied;
        changeHotPatchState(record.image, { hotPatchState: 'AppliedReverse' });
      },
      () => {
        editRecord(record).vadState = VAD_HOT_PATCH_STATE.none;
        changeHotPatchState(record.image, { hotPatchState: 'NotApplied' });
      },
    );
  }
}
