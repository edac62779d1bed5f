import type { EngineName, EngineStep, OperationKind } from '../engine/index.js';
import type { Lab } from '../lab/index.js';
import { type BootOptions, type ImageDomain, KernelError } from '../loader/index.js';

export type { OperationKind } from '../engine/index.js';

/** What the processors do, over and over, while the engine works. */
export interface SubjectCall {
  readonly target: bigint;
  readonly arguments: readonly (bigint | number)[];
  /** Name of the process or session that the call is made in. Default: where images go when nobody says. */
  readonly place?: string;
}

/**
 * A machine at the moment before a patch operation, the operation, and the call whose results tell old from new code.
 * Made anew for every recording and every replay, always the same.
 */
export interface Subject extends Disposable {
  readonly lab: Lab;
  readonly operation: OperationKind;
  /** The first processor makes the first call, the second one the second, and so on in turn. */
  readonly calls: readonly [SubjectCall, ...SubjectCall[]];
  /** Begins the operation: the real engine, which yields after each step that it has done. */
  steps(): Generator<EngineStep, unknown>;
}

const GENERATIONS: Readonly<Record<EngineName, string>> = {
  modern: 'modern generation',
  'server-2003': '2003 generation',
};

/** `apply, 2003 generation`: an operation in titles. */
export const operationTitle = (kind: OperationKind, engine: EngineName): string =>
  `${kind}, ${GENERATIONS[engine]}`;

/** Results of the call as 32-bit values. */
export interface ExpectedResults {
  readonly before: number;
  readonly after: number;
  /** Right only for calls that began before the operation was complete: recursions that change over on the way. */
  readonly during?: readonly number[];
}

/** Options of the machine that decide which form of trampoline the engine uses. */
export type HpatForm = Pick<BootOptions, 'hpatLayout' | 'retpoline'>;

export interface SubjectOptions {
  readonly processors?: number;
  readonly instructionFetch?: 'coherent' | 'weak';
  /** Default: the subject's own. */
  readonly hpatForm?: HpatForm;
  /** Make it a part of the scenario run that this happens in, so that a debugger and a transcript see it. */
  readonly shown?: boolean;
}

/**
 * Which results are right for a call that meets the operation, besides those of the code before and of the code after it.
 * `per-activation`: those that come about when the functions change over one by one, each whole, at any time and in any
 * order while the call runs. `none`: no others. A predicate is asked for each.
 */
export type Mixture = 'per-activation' | 'none' | ((result: number) => boolean);

/** How to make a {@link Subject}. */
export interface SubjectSource {
  readonly name: string;
  /** Default: `none` where `expected` is given, else `per-activation`. */
  readonly mixture?: Mixture;
  /** Default: what the call returns alone, before and after. */
  readonly expected?: ExpectedResults;
  /** How many calls the subject has, in as many places. Default 1. */
  readonly roles?: number;
  create(options?: SubjectOptions): Subject | Promise<Subject>;
}

/** The kernel, session, process or VTL1 with this name. @throws KernelError `place.notFound` */
export function placeNamed({ kernel }: Lab, name: string): ImageDomain {
  const domain = kernel.domains.find((candidate) => candidate.name === name);
  if (domain !== undefined) return domain;
  throw new KernelError({
    rule: 'place.notFound',
    status: 'STATUS_NOT_FOUND',
    place: name,
    message: `there is no process or session '${name}'`,
    hint: `there are ${kernel.domains.map((candidate) => candidate.name).join(', ')}`,
  });
}

/** Where the code of a call is. */
export function placeOf(lab: Lab, { place }: SubjectCall): ImageDomain {
  return place === undefined ? lab.kernel.domain : placeNamed(lab, place);
}
