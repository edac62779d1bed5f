import type { ArchitectureName } from '../../cpu/index.js';
import { type EntryFacts, type EntryProblem, entryNeedOf, entryProblems } from '../../image/index.js';

export interface EntryRefusal {
  readonly rule: 'function.padding' | 'function.firstInstruction';
  readonly reason: string;
}

const REFUSALS: Readonly<Record<EntryProblem, EntryRefusal>> = {
  padding: { rule: 'function.padding', reason: 'there are no six bytes of padding before the function' },
  split: {
    rule: 'function.padding',
    reason:
      'the function before runs through the padding, and the jump would begin inside one of its no-operations',
  },
  firstInstruction: {
    rule: 'function.firstInstruction',
    reason: 'the first instruction is only one byte long',
  },
  invalid: { rule: 'function.firstInstruction', reason: 'the function does not begin with an instruction' },
};

/**
 * Why a function that is not patched cannot carry a trampoline, or undefined. Of ARM64 the table's validation has looked
 * at the alignment (`record.alignment`).
 * @param jump bytes of the form's jump in the padding
 * @param hasLeftJump the padding holds the jump of a patch that was taken back
 */
export function refuseEntry(
  architecture: ArchitectureName,
  facts: EntryFacts,
  hasLeftJump: boolean,
  jump = entryNeedOf(architecture).jump,
): EntryRefusal | undefined {
  const problem = entryProblems(facts, { ...entryNeedOf(architecture), jump }).find(
    (found) => !(found === 'padding' && hasLeftJump),
  );
  return problem === undefined ? undefined : REFUSALS[problem];
}
