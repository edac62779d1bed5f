import type { ImageDomain } from '../../loader/index.js';
import { type Operation, whileAlive } from './operation.js';
import type { EngineStep } from './steps.js';

/** A change of code in one place that processors may be executing. */
export interface LivePart {
  readonly domain: ImageDomain;
  /** Enters the place, where that takes more than being the kernel. */
  attach?(): Disposable;
  /** Stores that nothing leads to yet. */
  stage?(): Generator<EngineStep, void>;
  /** Stores that processors may see: those at entries. */
  commit(): Generator<EngineStep, void>;
}

/**
 * Stages all parts, serialises every processor, commits all parts, and serialises every processor again: none may
 * execute the jump at an entry and then, out of what it fetched before, the old bytes of a trampoline.
 * @param gathering how it is told that all processors are gathered for the whole of it; they are let go however it ends.
 *   Undefined: they go on executing
 * @throws KernelError `rendezvous.timeout` before the first step when a processor does not come
 */
export function* changeLiveCode(
  operation: Operation,
  parts: readonly LivePart[],
  gathering: string | undefined,
): Generator<EngineStep, void> {
  if (gathering === undefined) {
    let newTrampolines = false;
    for (const step of each('stage')) {
      newTrampolines ||= step.kind === 'undoEntrySaved';
      yield step;
    }
    if (newTrampolines) yield operation.serialise();
    yield* each('commit');
    yield operation.serialise();
    return;
  }
  {
    using _ = operation.kernel.gatherProcessors();
    yield rendezvous('begin', gathering);
    yield* each('stage');
    yield* each('commit');
    // Before they are let go: Arm allows no processor to execute a replaced instruction unsynchronised.
    yield operation.serialise();
  }
  yield rendezvous('end', 'all processors are let go');

  function* each(phase: 'stage' | 'commit'): Generator<EngineStep, void> {
    for (const part of parts) {
      const steps = part[phase];
      if (steps === undefined) continue;
      using _ = part.attach?.();
      yield* whileAlive(part.domain, steps.call(part));
    }
  }

  function rendezvous(phase: 'begin' | 'end', text: string): EngineStep {
    return operation.emit({ kind: 'rendezvous', phase, text: `  ${text}` });
  }
}
