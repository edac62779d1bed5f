/** One line of the record that a hunt for mutants keeps, so that it can be gone on with. */
export type Line =
  | { readonly kind: 'noticed'; readonly id: number; readonly test: string; readonly by: string }
  | {
      readonly kind: 'done';
      readonly test: string;
      readonly milliseconds: number;
      readonly reached: readonly number[];
      readonly tried: number;
    }
  | {
      readonly kind: 'tooLong';
      readonly test: string;
      readonly milliseconds: number;
      readonly left: number;
    }
  /** The test did not notice the mutant. */
  | { readonly kind: 'met'; readonly id: number; readonly test: string }
  /** No whole test file that begins with it in force notices it either. */
  | { readonly kind: 'unreached'; readonly id: number }
  | { readonly kind: 'poisoned'; readonly id: number; readonly test: string };

/** Beside the record: the mutant and test that run now; empty between them. */
export const tryingFile = (record: string): string => `${record}.trying`;
