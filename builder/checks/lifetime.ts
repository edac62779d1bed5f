import type { Examination } from '../examination.js';
import { initialCode, isDiscarded } from '../lifetime.js';

/** Fixes in code that has run already, or whose memory is gone. */
export function checkLifetime({ comparison, reach, findings }: Examination): void {
  const { base, fixed, functions, matching } = comparison;
  const initial = initialCode(base);
  for (const { verdict, base: from } of functions) {
    if (verdict !== 'changed' || from === undefined) continue;
    const section = base.image.sectionAt(from.rva)?.name;
    if (isDiscarded(base, from))
      findings.report('entry.discarded', `it lies in the section ${section}, and is left out`, from.name);
    else {
      const why = initial.get(from);
      if (why !== undefined) findings.report('entry.hasRun', why, from.name);
    }
  }
  for (const reached of [reach.inside, reach.leaving])
    for (const [code, by] of reached) {
      const original = matching.functions.baseOf(code);
      if (by === undefined && original === undefined) continue;
      const isGone = original === undefined ? isDiscarded(fixed, code) : isDiscarded(base, original);
      if (isGone && by !== undefined) findings.report('callee.discarded', `${by.name} reaches it`, code.name);
    }
}
