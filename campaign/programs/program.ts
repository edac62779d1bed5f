/** A C program as parts that can be changed or left out one by one. */
export interface CProgram {
  /** Types, prototypes, variables, tables: before every function. */
  readonly globals: readonly Part[];
  readonly functions: readonly CFunction[];
}

/** A line or a few of C. Equal ids in two programs mean: the same place. */
export interface Part {
  readonly id: number;
  readonly text: string;
}

export interface CFunction {
  readonly name: string;
  /** `static __attribute__((noinline)) unsigned f1(unsigned a, unsigned b)` */
  readonly head: string;
  readonly statements: readonly Part[];
  /** The last statement. */
  readonly result: string;
}

export const bodyOf = ({ statements, result }: CFunction): string =>
  [...statements.map(({ text }) => text), `return ${result};`].join('\n  ');

/** The program as C. */
export function textOfProgram({ globals, functions }: CProgram): string {
  return [
    ...globals.map(({ text }) => text),
    ...functions.map((one) => `\n${one.head} {\n  ${bodyOf(one)}\n}`),
    '',
  ].join('\n');
}

/** Names of the functions that are in both and differ, or are new. */
export function changedFunctions(base: CProgram, fixed: CProgram): string[] {
  const before = new Map(base.functions.map((one) => [one.name, `${one.head}\n${bodyOf(one)}`]));
  return fixed.functions
    .filter((one) => before.get(one.name) !== `${one.head}\n${bodyOf(one)}`)
    .map(({ name }) => name);
}
