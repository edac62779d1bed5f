import type { ImageDomain, Kernel } from '../../loader/index.js';
import type { EngineStep } from './steps.js';

/** `repatch`: functions that lead into a patch already are led into another one. */
export type OperationKind = 'apply' | 'repatch' | 'revert';

/** An operation of either engine that changes code in memory, before its first step. */
export interface RequestedOperation {
  readonly kind: OperationKind;
  /** Where the base is: the kernel, sessions, processes, VTL1. */
  readonly domains: readonly ImageDomain[];
  /** Begins it: a generator that yields after each step that it has done. */
  steps(): Generator<EngineStep, unknown>;
}

/** What an engine knows of an operation that it is asked for; undefined when it changes no code of any base. */
export type OperationFacts = Omit<RequestedOperation, 'steps'> | undefined;

export interface OperationObserver {
  /** Performs the operation; may throw instead, to end whoever asked for it. */
  perform<T>(operation: RequestedOperation | undefined, perform: () => T): T;
}

const observers = new WeakMap<Kernel, OperationObserver>();

/** Sees every operation that the engines of a kernel are asked for as a whole, not step by step. */
export function observeOperations(kernel: Kernel, observer: OperationObserver): void {
  observers.set(kernel, observer);
}

/** Runs an operation through without letting processors run in between, as long as its observer has no other plans. */
export function performOperation<T>(
  kernel: Kernel,
  facts: () => OperationFacts,
  steps: () => Generator<EngineStep, T>,
): T {
  kernel.bugChecks.assertRunning('change code by a hotpatch');
  const observer = observers.get(kernel);
  if (observer === undefined) return drive(steps());
  const known = facts();
  return observer.perform(known === undefined ? undefined : { ...known, steps }, () => drive(steps()));
}

/** Runs a generator through. */
export function drive<T>(steps: Generator<EngineStep, T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}
