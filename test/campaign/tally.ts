import type { CaseResult, Fuzzer } from '../../campaign/fuzz/fuzzer.js';

export interface Tallied {
  readonly outcomes: Readonly<Record<string, number>>;
  readonly rules: Readonly<Record<string, number>>;
  readonly problems: readonly { readonly number: number; readonly problem: CaseResult['problem'] }[];
}

/** What becomes of the cases of so many numbers. */
export function tallyOf(fuzzer: Fuzzer, first: number, count: number): Tallied {
  const outcomes: Record<string, number> = {};
  const rules: Record<string, number> = {};
  const problems: { number: number; problem: CaseResult['problem'] }[] = [];
  for (let number = first; number < first + count; number++) {
    const result = fuzzer.run(number);
    outcomes[result.outcome] = (outcomes[result.outcome] ?? 0) + 1;
    for (const rule of result.rules ?? []) rules[rule] = (rules[rule] ?? 0) + 1;
    if (result.problem !== undefined) problems.push({ number, problem: result.problem });
  }
  return { outcomes, rules, problems };
}
