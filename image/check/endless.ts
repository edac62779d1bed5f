/** An instruction of a function, and where it leads. */
export interface FlowInstruction {
  /** From the function's first byte. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
  /** `return`, `jump`, `conditionalJump` … as the processor room names them. */
  readonly flow: string;
  /** Offset that a direct branch inside the function leads to. */
  readonly branch?: number | undefined;
}

/**
 * Offset of code that a function can reach and that never leaves it again: no return, no jump out. Undefined when every
 * reachable instruction can. A thread in there runs the old code for ever, and the fix never takes effect for it
 * (documented as a limit: "infinite loops"). Jumps through registers and into instructions count
 * as leaving.
 */
export function endlessCode(instructions: readonly FlowInstruction[]): number | undefined {
  const indexOf = new Map(instructions.map(({ offset }, index) => [offset, index]));
  const next = instructions.map(({ flow, branch, offset, length }): { to: number[]; leaves: boolean } => {
    const follow = indexOf.get(offset + length);
    const through = follow === undefined ? [] : [follow];
    const known = branch === undefined ? undefined : indexOf.get(branch);
    const target = known === undefined ? [] : [known];
    switch (flow) {
      case 'return':
      case 'indirectJump':
      case 'undefined':
      case 'interrupt':
      case 'invalid':
        return { to: [], leaves: true };
      case 'jump':
        return { to: target, leaves: known === undefined };
      case 'conditionalJump':
        return { to: [...target, ...through], leaves: known === undefined };
      default:
        return { to: through, leaves: follow === undefined };
    }
  });
  const from = next.map((): number[] => []);
  for (const [index, { to }] of next.entries()) for (const other of to) from[other]?.push(index);
  const canLeave = new Set(next.flatMap(({ leaves }, index) => (leaves ? [index] : [])));
  for (const index of canLeave) for (const other of from[index] ?? []) canLeave.add(other);
  const reachable = new Set([0]);
  for (const index of reachable) for (const to of next[index]?.to ?? []) reachable.add(to);
  const stuck = [...reachable].find((index) => next[index] !== undefined && !canLeave.has(index));
  return stuck === undefined ? undefined : instructions[stuck]?.offset;
}
