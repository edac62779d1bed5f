import type { Pair, PairOutcome } from './pair.js';
import type { CFunction, CProgram, Part } from './program.js';

/** How many smaller pairs are tried. */
const MOST_TRIES = 60;

/** Leaves out statements, functions and variables, in both programs alike, as long as the same rule is broken. */
export async function shrinkPair(
  pair: Pair,
  rule: string,
  attempt: (smaller: Pair) => Promise<PairOutcome>,
): Promise<Pair> {
  let smallest = pair;
  let tries = 0;
  const keep = async (smaller: Pair): Promise<void> => {
    if (tries++ >= MOST_TRIES) return;
    const { problem } = await attempt(smaller);
    if (problem?.rule === rule) smallest = smaller;
  };
  for (const call of pair.calls)
    if (smallest.calls.length > 1)
      await keep({ ...smallest, calls: smallest.calls.filter((one) => one !== call) });
  const ids = (program: CProgram) =>
    program.functions.flatMap(({ statements }) => statements.map(({ id }) => id));
  for (const id of [...new Set([...ids(pair.base), ...ids(pair.fixed)])].reverse())
    await keep(both(smallest, (program) => withoutStatement(program, id)));
  for (const { name } of [...pair.fixed.functions].reverse())
    await keep(both(smallest, (program) => withResult(program, name)));
  for (const { name } of [...pair.fixed.functions].reverse())
    await keep(
      both(smallest, (program) => ({
        ...program,
        functions: program.functions.filter((one) => one.name !== name),
      })),
    );
  for (const { id } of [...pair.fixed.globals].reverse())
    await keep(both(smallest, (program) => ({ ...program, globals: without(program.globals, id) })));
  return smallest;
}

const both = (pair: Pair, change: (program: CProgram) => CProgram): Pair => ({
  ...pair,
  base: change(pair.base),
  fixed: change(pair.fixed),
});

const without = (parts: readonly Part[], id: number): Part[] => parts.filter((part) => part.id !== id);

const eachFunction = (program: CProgram, change: (one: CFunction) => CFunction): CProgram => ({
  ...program,
  functions: program.functions.map(change),
});

const withoutStatement = (program: CProgram, id: number): CProgram =>
  eachFunction(program, (one) => ({ ...one, statements: without(one.statements, id) }));

const withResult = (program: CProgram, name: string): CProgram =>
  eachFunction(program, (one) =>
    one.name === name && one.result.startsWith('r + ') ? { ...one, result: 'r' } : one,
  );
