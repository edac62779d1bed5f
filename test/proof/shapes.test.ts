import { describe, expect, it } from 'vitest';
import {
  CONTROL_FLOW_SHAPES,
  explore,
  firstInstructionShapes,
  type Generation,
  type OperationKind,
  type Shape,
  shapeSubject,
  windows,
} from '../../src/proof/index.js';

const OPERATIONS: readonly OperationKind[] = ['apply', 'repatch', 'revert'];

/** All of them with HOTPATCH_PROOF=all, else some. */
const every = (step: number) => (_shape: Shape, index: number) =>
  process.env.HOTPATCH_PROOF === 'all' || index % step === 0;

async function violations(
  shape: Shape,
  fetch: 'coherent' | 'weak',
  processors: number,
  generation?: Generation,
) {
  const found: string[] = [];
  for (const operation of OPERATIONS) {
    const source = await shapeSubject(shape, operation, generation);
    const result = await explore(source, { protocol: windows, processors, fetch });
    expect(result?.complete).toBe(true);
    for (const { rule, text } of result?.violations ?? []) found.push(`${operation}: ${rule}: ${text}`);
  }
  return found;
}

describe('every prologue survives its hotpatch', () => {
  it.each(firstInstructionShapes('x64').filter(every(4)))('$name', async (shape) => {
    expect(await violations(shape, 'weak', 1)).toEqual([]);
  });
  it.each(firstInstructionShapes('x86').filter(every(6)))('$name', async (shape) => {
    expect(await violations(shape, 'weak', 1)).toEqual([]);
  });
  it.each(firstInstructionShapes('arm64').filter(every(2)))('$name', async (shape) => {
    expect(await violations(shape, 'coherent', 1)).toEqual([]);
  });
  it.each(CONTROL_FLOW_SHAPES)('$name', async (shape) => {
    expect(await violations(shape, 'coherent', 2)).toEqual([]);
    expect(await violations(shape, 'weak', 1)).toEqual([]);
  });
  it.each(firstInstructionShapes('x64').filter(every(10)))(
    'with the earlier generation of the engine: $name',
    async (shape) => {
      expect(await violations(shape, 'weak', 1, { hpatLayout: 'pointers' })).toEqual([]);
    },
  );
});
