import type { EngineStep } from '../../engine/index.js';
import { BugCheck } from '../../loader/index.js';
import { FAULTS, type FaultKind, failure } from './injections.js';
import { createSituation, type Situation, type SituationKind } from './situations.js';
import { differences, type SystemState, sameState, systemState } from './system-state.js';

export interface FaultPoint {
  readonly kind: FaultKind;
  /** 0 is the first. */
  readonly index: number;
}

/**
 * `before`, `after`: as before the operation, as after it. `stopped`: by a bugcheck. `ended`: as before or after, but for
 * processes that the failure ended. `between`: neither, which must not be.
 */
export type StateAfterFault = 'before' | 'after' | 'stopped' | 'ended' | 'between';

export interface FaultResult extends FaultPoint {
  readonly state: StateAfterFault;
  /** NTSTATUS of the error that the operation ended with, or the bugcheck; undefined when it succeeded in spite of the fault. */
  readonly status: string | undefined;
  /** The engine's last step before the fault, if there was one. */
  readonly after: string | undefined;
  /** Exit statuses of the processes that ended. */
  readonly ended: readonly number[];
  /** What the function returns afterwards wherever the base is; or how the call crashed. */
  readonly results: readonly number[] | string;
  /** The loader has marked the image as one that could not be patched: user images only. */
  readonly failedToPatch: boolean;
  /** What differs, when it is neither. */
  readonly difference?: string;
  /** The same operation was done again without a fault; its results. */
  readonly again: readonly number[] | string;
}

/** Lets each thing that can fail fail once, each time in a fresh system. */
export async function* faultCampaign(
  kind: SituationKind,
  faults: readonly FaultKind[] = Object.keys(FAULTS) as FaultKind[],
): AsyncGenerator<FaultResult> {
  for (const fault of faults) {
    for (let index = 0; ; index++) {
      const result = await tryFault(kind, { kind: fault, index });
      if (result === undefined) break;
      yield result;
    }
  }
}

const undisturbed = new Map<string, Promise<SystemState>>();

/** The state of a system in which the processes of these names have ended, before or after the operation. */
function stateOf(
  kind: SituationKind,
  moment: 'before' | 'after',
  ended: readonly string[] = [],
): Promise<SystemState> {
  const key = JSON.stringify([kind, moment, ended]);
  const known = undisturbed.get(key);
  if (known !== undefined) return known;
  const state = (async () => {
    using situation = await createSituation(kind);
    if (moment === 'after') for (const _step of situation.perform());
    for (const process of situation.lab.kernel.processes)
      if (ended.includes(process.domain.name)) process.terminate();
    return systemState(situation.lab);
  })();
  undisturbed.set(key, state);
  return state;
}

/** Undefined when the operation has not so many points of the kind. */
async function tryFault(kind: SituationKind, point: FaultPoint): Promise<FaultResult | undefined> {
  using situation = await createSituation(kind);
  const { lab } = situation;
  const processes = [...lab.kernel.processes];
  const run = performWithFault(situation, point);
  if (!run.fired) return undefined;
  const { status, last } = run;
  const ended = processes.filter(({ terminated }) => terminated);
  const common = {
    ...point,
    status,
    after: last?.text.trim(),
    ended: ended.map(({ exitStatus = 0 }) => exitStatus),
  };
  if (run.stopped) return { ...common, state: 'stopped', results: [], failedToPatch: false, again: [] };
  const now = systemState(lab);
  const names = ended.map(({ domain }) => domain.name);
  const before = await stateOf(kind, 'before', names);
  const after = await stateOf(kind, 'after', names);
  const state = sameState(now, before) ? 'before' : sameState(now, after) ? 'after' : 'between';
  const results = resultsOf(situation);
  return {
    ...common,
    state: state !== 'between' && ended.length > 0 ? 'ended' : state,
    results,
    failedToPatch: now.failedToPatch,
    ...(state === 'between' ? { difference: differences(before, now).slice(0, 8).join(' | ') } : {}),
    again: state === 'before' ? performAgain(situation) : results,
  };
}

function resultsOf(situation: Situation): readonly number[] | string {
  try {
    return situation.results();
  } catch (error) {
    return String(error);
  }
}

function performAgain(situation: Situation): readonly number[] | string {
  try {
    for (const _step of situation.perform());
    return situation.results();
  } catch (error) {
    return String(error);
  }
}

interface Run {
  readonly fired: boolean;
  readonly status: string | undefined;
  readonly stopped: boolean;
  readonly last: EngineStep | undefined;
}

function performWithFault(situation: Situation, { kind, index }: FaultPoint): Run {
  let fired = false;
  let count = 0;
  let last: EngineStep | undefined;
  const isDue = () => {
    if (fired || count++ !== index) return false;
    fired = true;
    return true;
  };
  using _ = situation.faults.inject(kind, isDue);
  const told = (status: string | undefined, stopped = false): Run => ({ fired, status, stopped, last });
  try {
    const steps = situation.perform();
    for (let step = steps.next(); step.done !== true; ) {
      if (!fired) last = step.value;
      if (kind === 'step' && isDue()) step = steps.throw(failure('step'));
      else if (kind === 'abandoned' && isDue()) step = steps.return();
      else step = steps.next();
    }
    return told(undefined);
  } catch (error) {
    return error instanceof BugCheck ? told(bugCheckText(error), true) : told(statusNameOf(error));
  }
}

const bugCheckText = ({ code, parameters: [first = 0n] }: BugCheck): string =>
  `0x${code.toString(16)}/0x${first.toString(16)}`;

function statusNameOf(error: unknown): string {
  if (error instanceof Error && 'status' in error) {
    const { status } = error;
    if (typeof status === 'object' && status !== null && 'name' in status) return String(status.name);
  }
  return String(error);
}
