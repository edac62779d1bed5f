import type { Application } from './application.js';
import { Applier, rendezvous } from './apply.js';
import { Journal } from './journal.js';
import type { PatchPlan } from './plan.js';
import type { EngineStep } from './steps.js';
import { putInForce, type TransactionContext } from './transaction.js';
import type { UndoEntry } from './undo-table.js';

/** Taking back one application: the plan that puts the previous patch in force again, or none for the original code. */
export interface Revert {
  readonly application: Application;
  readonly previous: PatchPlan | undefined;
}

/**
 * Takes the newest patch of each base back. Functions that the previous patch covers lead into that one again, all
 * others get their original bytes from the undo table. A failure leaves the patch in force, with every store undone.
 */
export function* revertPatch(
  context: TransactionContext,
  reverts: readonly Revert[],
): Generator<EngineStep, void> {
  const { kernel, emit } = context;
  const journal = new Journal(kernel);
  const applier = new Applier(kernel, journal);
  const released = new Map(reverts.map((revert) => [revert, releasedEntries(revert)] as const));
  const gather = reverts.some(
    ({ application: { base }, previous }) =>
      previous?.rendezvous ??
      [...base.undo].some(([, entry]) => base.form.needsRendezvous(base.image.address(entry.rva))),
  );
  try {
    if (gather) yield emit(rendezvous('begin'));
    for (const { application, previous } of reverts) {
      if (previous !== undefined) yield* all(applier.forward(previous));
      else
        for (const [index, entry] of [...application.base.undo])
          yield* all(applier.revert(application.base, index, entry));
    }
    if (gather) yield emit(rendezvous('end'));
    yield emit(applier.serialise());
    for (const [{ application }, entries] of released)
      yield* all(applier.restorePadding(application.base, entries));
  } catch (error) {
    journal.rollBack();
    kernel.machine.serialise();
    throw error;
  }
  for (const { application } of reverts) {
    application.base.applications.splice(application.base.applications.indexOf(application), 1);
    putInForce(application.base);
    application.loaded.hotPatchState = 'NotApplied';
  }

  function* all(steps: Generator<EngineStep, void>): Generator<EngineStep, void> {
    for (const step of steps) yield emit(step);
  }
}

/** The functions that will run their original code again. */
function releasedEntries({ application: { base }, previous }: Revert): UndoEntry[] {
  return (previous?.reverts ?? [...base.undo]).map(([, entry]) => entry);
}
