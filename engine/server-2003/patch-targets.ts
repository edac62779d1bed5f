import { type LoadedImage, processOf } from '../../loader/index.js';
import type { EngineStep } from '../core/index.js';
import { type Change2003, enterTarget, swapFor } from './apply.js';
import type { ApplyContext } from './context.js';
import { InjectedRoutine } from './inject.js';
import type { Application2003, Patch2003 } from './patch.js';
import { type CodeSwap, swapCode } from './swap.js';

/** One module, and what an operation does to it. */
export interface TargetChange {
  readonly target: LoadedImage;
  /** Its entry of the patch list that is changed; undefined: the hotpatch is new there, and is entered first. */
  readonly application: Application2003 | undefined;
  readonly change: Change2003;
}

export interface EnterOptions {
  /** Where to map the hotpatch image. */
  readonly dllBase?: bigint | undefined;
  /** A new hotpatch is entered and nothing more. */
  readonly active?: boolean | undefined;
  /** Does a thread do the work in each process, which is injected into it? Otherwise whoever runs there does. */
  readonly injects?: boolean;
}

/**
 * One hotpatch in several modules, in all of them or in none. Each is made ready by itself: where the hotpatch is new its
 * image is loaded, fixed up and compared, in kernel space at once, in a process on a thread that is injected into it. Then
 * the code of all of them is changed in one stretch, in which no processor executes anything (modelled). A process that
 * ends on the way is left out.
 */
export function* changeTargets(
  context: ApplyContext,
  patch: Patch2003,
  changes: readonly TargetChange[],
  { dllBase, active = true, injects = true }: EnterOptions = {},
): Generator<EngineStep, void> {
  const { operation } = context;
  const routines: InjectedRoutine[] = [];
  const ready: (readonly [Application2003, Change2003])[] = [];
  const enter = function* ({ target, application, change }: TargetChange): Generator<EngineStep, void> {
    if (application !== undefined) {
      ready.push([application, change]);
      return;
    }
    const process = processOf(target.domain);
    if (process === undefined)
      operation.tell(
        'kernelPath',
        `MmHotPatchRoutine: ${patch.name} for ${target.baseDllName} in ${target.domain.name}`,
      );
    else if (injects) routines.push(InjectedRoutine.inject(context, process, patch, active));
    const entered = yield* enterTarget(context, patch, target, dllBase);
    if (active) ready.push([entered, 'enable']);
  };
  try {
    for (const change of changes) yield* unlessEnded(change.target, enter(change));
    const places = ready
      .filter(([{ target }]) => !hasEnded(target))
      .map(([application, change]): CodeSwap => swapFor(context, application, change));
    if (places.length > 0) yield* swapCode(context, places);
    for (const routine of routines) routine.finish();
  } finally {
    for (const routine of routines.reverse()) routine[Symbol.dispose]();
  }
  for (const { target } of changes)
    if (hasEnded(target))
      operation.tell('processEnded', `${target.domain.name} has ended meanwhile: it is left out`);
}

const hasEnded = ({ domain }: LoadedImage): boolean => domain.process?.terminated === true;

/** A process may end on the way: what becomes impossible in it then is no failure. */
function* unlessEnded(target: LoadedImage, steps: Generator<EngineStep, void>): Generator<EngineStep, void> {
  if (hasEnded(target)) return;
  try {
    yield* steps;
  } catch (error) {
    if (!hasEnded(target)) throw error;
  }
}
