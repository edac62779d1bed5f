import type { Application } from './application.js';
import { Applier } from './apply.js';
import { Journal } from './journal.js';
import type { PatchPlan } from './plan.js';
import type { EngineStep } from './steps.js';
import { attach, gathered, putInForce, type TransactionContext } from './transaction.js';
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
  const released = reverts.map((revert) => [revert.application.base, releasedEntries(revert)] as const);
  try {
    yield* gathered(context, reverts.some(needsRendezvous), restoreEntries(), applier);
    for (const [base, entries] of released) yield* all(applier.restorePadding(base, entries));
  } catch (error) {
    journal.rollBack();
    kernel.machine.serialise();
    throw error;
  }
  for (const { application } of reverts) {
    const { base, loaded } = application;
    base.applications.splice(base.applications.indexOf(application), 1);
    putInForce(base);
    loaded.hotPatchState = 'NotApplied';
  }

  function* restoreEntries(): Generator<EngineStep, void> {
    for (const { application, previous } of reverts) {
      const { base } = application;
      using _ = attach(context, base.image.domain);
      if (previous !== undefined) yield* all(applier.forward(previous));
      else for (const [index, entry] of [...base.undo]) yield* all(applier.revert(base, index, entry));
    }
  }

  function* all(steps: Generator<EngineStep, void>): Generator<EngineStep, void> {
    for (const step of steps) yield emit(step);
  }
}

function needsRendezvous({ application: { base }, previous }: Revert): boolean {
  if (previous !== undefined) return previous.rendezvous;
  return [...base.undo].some(([, entry]) => base.form.needsRendezvous(base.image.address(entry.rva)));
}

/** The functions that will run their original code again. */
function releasedEntries({ application: { base }, previous }: Revert): UndoEntry[] {
  return (previous?.reverts ?? [...base.undo]).map(([, entry]) => entry);
}
