import type { Mutant } from './schemata.js';

interface Judgement {
  readonly file: string;
  readonly change: string;
  /** The code that is changed, as the report prints it, or the beginning of it. */
  readonly code: string;
  readonly why: string;
}

/** Mutants that no test can notice, each with the reason. */
const JUDGED: readonly Judgement[] = [];

/** Why a surviving mutant is of no matter, if somebody has said so. */
export function judgementOf({ file, change, code }: Mutant): string | undefined {
  return JUDGED.find((one) => one.file === file && one.change === change && code.startsWith(one.code))?.why;
}
