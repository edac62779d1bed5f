import type { EngineStep } from '../engine/index.js';
import type { Lab } from '../lab.js';

/** `repatch`: a newer patch takes the place of the one in force. */
export type OperationKind = 'apply' | 'repatch' | 'revert';

/** What the processors do, over and over, while the engine works. */
export interface SubjectCall {
  readonly target: bigint;
  readonly arguments: readonly (bigint | number)[];
}

/**
 * A machine at the moment before a patch operation, the operation, and the call whose results tell old from new code.
 * Made anew for every recording and every replay, always the same.
 */
export interface Subject extends Disposable {
  readonly lab: Lab;
  readonly operation: OperationKind;
  readonly call: SubjectCall;
  /** Begins the operation: the real engine, which yields after each step that it has done. */
  steps(): Generator<EngineStep, unknown>;
}

/** Results of the call as 32-bit values. */
export interface ExpectedResults {
  readonly before: number;
  readonly after: number;
  /** Right only for calls that began before the operation was complete: recursions that change over on the way. */
  readonly during?: readonly number[];
}

export interface SubjectOptions {
  readonly processors?: number;
  readonly instructionFetch?: 'coherent' | 'weak';
}

/** How to make a {@link Subject}. */
export interface SubjectSource {
  readonly name: string;
  /** Default: what the call returns alone, before and after. */
  readonly expected?: ExpectedResults;
  create(options?: SubjectOptions): Subject | Promise<Subject>;
}
