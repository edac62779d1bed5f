import { Journal } from '../core/journal.js';
import type { EngineStep } from '../core/steps.js';
import type { Application } from './application.js';
import { Applier } from './apply.js';
import type { ImageRecord } from './image-record.js';
import type { PatchPlan } from './plan.js';
import {
  changeLiveCode,
  isAlive,
  type LivePart,
  putInForce,
  type TransactionContext,
  whileAlive,
} from './transaction.js';
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
  context: TransactionContext,
  reverts: readonly Revert[],
): Generator<EngineStep, ImageRecord[]> {
  const { kernel, emit } = context;
  const journal = new Journal(kernel);
  const applier = new Applier(kernel, journal);
  const released = reverts.map((revert) => [revert.application.base, releasedEntries(revert)] as const);
  let reverted = false;
  try {
    yield* changeLiveCode(context, reverts.map(livePart), applier);
    for (const [base, entries] of released)
      for (const step of whileAlive({ base }, applier.restorePadding(base, entries))) yield emit(step);
    reverted = true;
  } finally {
    if (!reverted) {
      journal.rollBack();
      kernel.machine.serialise();
    }
  }
  const alive = reverts.map(({ application }) => application).filter(isAlive);
  for (const application of alive) {
    const { base, loaded } = application;
    base.applications.splice(base.applications.indexOf(application), 1);
    putInForce(base);
    loaded.hotPatchState = 'NotApplied';
  }
  return alive.map(({ base }) => base);

  function livePart(revert: Revert): LivePart {
    const { application, previous } = revert;
    const { base } = application;
    return {
      base,
      rendezvous: needsRendezvous(revert),
      *stage() {
        if (previous !== undefined) yield* applier.stage(previous);
      },
      *commit() {
        if (previous !== undefined) yield* applier.commit(previous);
        else for (const [index, entry] of [...base.undo]) yield* applier.revert(base, index, entry);
      },
    };
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
