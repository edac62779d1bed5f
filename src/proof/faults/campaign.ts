import { CpuError } from '../../cpu/index.js';
import type { Lab } from '../../lab.js';
import { KernelError } from '../../loader/index.js';
import { createSituation, type Situation, type SituationKind } from './situations.js';
import { type SystemState, sameState, systemState } from './system-state.js';

/**
 * What fails: the n-th store into code or data, the n-th page of memory, or the engine is stopped after its n-th step.
 */
export type FaultKind = 'codeStore' | 'dataStore' | 'page' | 'step';

export interface FaultPoint {
  readonly kind: FaultKind;
  /** 0 is the first. */
  readonly index: number;
}

export interface FaultResult extends FaultPoint {
  /** The state afterwards: as before the operation, as after it, or something in between, which must not be. */
  readonly state: 'before' | 'after' | 'between';
  /** NTSTATUS of the error that the operation ended with; undefined when it succeeded in spite of the fault. */
  readonly status: string | undefined;
  /** What the function returns afterwards wherever the base is. */
  readonly results: readonly number[];
  /** The loader has marked the image as one that could not be patched: user images only. */
  readonly failedToPatch: boolean;
  /** What differs, when it is neither. */
  readonly difference?: string;
  /** The same operation was done again without a fault; its results. */
  readonly again: readonly number[] | string;
}

const STATUS: Readonly<Record<FaultKind, string>> = {
  codeStore: 'STATUS_ACCESS_VIOLATION',
  dataStore: 'STATUS_ACCESS_VIOLATION',
  page: 'STATUS_NO_MEMORY',
  step: 'STATUS_INTERNAL_ERROR',
};

/** The status that an operation must end with when this fails. */
export const statusOf = (kind: FaultKind): string => STATUS[kind];

/** Lets each thing that can fail fail once, each time in a fresh system. */
export async function* faultCampaign(kind: SituationKind): AsyncGenerator<FaultResult> {
  const after = await undisturbed(kind);
  for (const fault of ['codeStore', 'dataStore', 'page', 'step'] as const) {
    for (let index = 0; ; index++) {
      const result = await inject(kind, { kind: fault, index }, after);
      if (result === undefined) break;
      yield result;
    }
  }
}

async function undisturbed(kind: SituationKind): Promise<SystemState> {
  using situation = await createSituation(kind);
  for (const _step of situation.perform());
  return systemState(situation.lab);
}

/** Undefined when the operation has not so many points of the kind. */
async function inject(
  kind: SituationKind,
  point: FaultPoint,
  after: SystemState,
): Promise<FaultResult | undefined> {
  using situation = await createSituation(kind);
  const { lab } = situation;
  const before = systemState(lab);
  const run = performWithFault(situation, point);
  if (!run.fired) return undefined;
  const state = systemState(lab);
  const known = sameState(state, before) ? 'before' : sameState(state, after) ? 'after' : 'between';
  const results = situation.results();
  return {
    ...point,
    state: known,
    status: run.status,
    results,
    failedToPatch: state.failedToPatch,
    ...(known === 'between' ? { difference: differenceOf(before, state) } : {}),
    again: known === 'before' ? performAgain(situation) : results,
  };
}

function performAgain(situation: Situation): readonly number[] | string {
  try {
    for (const _step of situation.perform());
    return situation.results();
  } catch (error) {
    return String(error);
  }
}

function performWithFault(situation: Situation, { kind, index }: FaultPoint) {
  let fired = false;
  let count = 0;
  const isDue = () => {
    if (fired || count++ !== index) return false;
    fired = true;
    return true;
  };
  using _fault = kind === 'step' ? undefined : install(situation.lab, kind, isDue);
  try {
    const steps = situation.perform();
    for (let step = steps.next(); step.done !== true; )
      step = kind === 'step' && isDue() ? steps.throw(failure('step')) : steps.next();
    return { fired, status: undefined };
  } catch (error) {
    return { fired, status: statusNameOf(error) };
  }
}

function statusNameOf(error: unknown): string {
  if (error instanceof Error && 'status' in error) {
    const { status } = error;
    if (typeof status === 'object' && status !== null && 'name' in status) return String(status.name);
  }
  return String(error);
}

function failure(kind: FaultKind): Error {
  if (kind === 'page')
    return new CpuError('noMemory', 'injected: no page frame is free', { status: 'STATUS_NO_MEMORY' });
  const status = kind === 'step' ? 'STATUS_INTERNAL_ERROR' : 'STATUS_ACCESS_VIOLATION';
  return new KernelError({ rule: 'injected', status, message: `injected failure of a ${kind}` });
}

/** Replaces what can fail by something that does when it is due. */
function install({ kernel }: Lab, kind: Exclude<FaultKind, 'step'>, isDue: () => boolean): Disposable {
  const restore: (() => void)[] = [];
  const check = () => {
    if (isDue()) throw failure(kind);
  };
  if (kind === 'page') {
    const { memory } = kernel.machine;
    const allocate = memory.allocate.bind(memory);
    memory.allocate = () => {
      check();
      return allocate();
    };
    restore.push(() => {
      memory.allocate = allocate;
    });
  } else
    for (const { writer } of kernel.domains) {
      const method = kind === 'codeStore' ? 'writeCode' : 'writeData';
      const write = writer[method].bind(writer);
      writer[method] = (address, bytes) => {
        check();
        write(address, bytes);
      };
      restore.push(() => {
        writer[method] = write;
      });
    }
  return {
    [Symbol.dispose]: () => {
      for (const undo of restore) undo();
    },
  };
}

function differenceOf(before: SystemState, now: SystemState): string {
  if (before.records === now.records) return 'memory';
  const old = new Set(before.records.split('\n'));
  return now.records
    .split('\n')
    .filter((line) => !old.has(line))
    .join(' | ');
}
