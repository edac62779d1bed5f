import { changeHotPatchState, type Kernel } from '../../loader/index.js';
import {
  changeLiveCode,
  type EngineStep,
  isAlive,
  type LivePart,
  Operation,
  storeAsOwner,
  whileAlive,
} from '../core/index.js';
import type { Application } from './application.js';
import { Applier } from './apply.js';
import { editRecord, type ImageRecord } from './image-record.js';
import type { PatchPlan } from './plan.js';
import { gathering, livePart, putInForce } from './transaction.js';
import type { UndoEntry } from './undo-table.js';

/** Taking back one application: the plan that puts the previous patch in force again, or none for the original code. */
export interface Revert {
  readonly application: Application;
  readonly previous: PatchPlan | undefined;
}

/**
 * Takes the newest patch of each base back. Functions that the previous patch covers lead into that one again, all
 * others get their original bytes from the undo table. A failure leaves the patch in force, with every store undone.
 * @returns the bases, without those whose process has ended meanwhile
 */
export function* revertPatch(
  kernel: Kernel,
  reverts: readonly Revert[],
): Generator<EngineStep, ImageRecord[]> {
  const operation = new Operation(kernel, storeAsOwner);
  const applier = new Applier(operation);
  const released = reverts.map((revert) => [revert.application.base, releasedEntries(revert)] as const);
  yield* operation.run(function* () {
    const parts = reverts.map((revert) => revertPart(operation, applier, revert));
    yield* changeLiveCode(operation, parts, gathering(reverts.some(needsRendezvous)));
    for (const [base, entries] of released)
      yield* whileAlive(base.image.domain, applier.restorePadding(base, entries));
  });
  const alive = reverts
    .map(({ application }) => application)
    .filter(({ base }) => isAlive(base.image.domain));
  for (const application of alive) {
    const { base, loaded } = application;
    editRecord(base).remove(application);
    putInForce(base);
    changeHotPatchState(loaded, { hotPatchState: 'NotApplied' });
  }
  return alive.map(({ base }) => base);
}

function revertPart(
  operation: Operation,
  applier: Applier,
  { application: { base }, previous }: Revert,
): LivePart {
  return livePart(operation, base, {
    *stage() {
      if (previous !== undefined) yield* applier.stage(previous);
    },
    *commit() {
      if (previous !== undefined) yield* applier.commit(previous);
      else for (const [index, entry] of [...base.undo]) yield* applier.revert(base, index, entry);
    },
  });
}

function needsRendezvous({ application: { base }, previous }: Revert): boolean {
  if (previous !== undefined) return previous.rendezvous;
  return [...base.undo].some(([, entry]) => base.form.needsRendezvous(base.image.address(entry.rva)));
}

/** The functions that will run their original code again. */
function releasedEntries({ application: { base }, previous }: Revert): UndoEntry[] {
  return (previous?.reverts ?? [...base.undo]).map(([, entry]) => entry);
}
