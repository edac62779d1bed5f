import { describe, expect, it } from 'vitest';
import { type ArchitectureName, assemble, disassemble } from '../../cpu/index.js';
import {
  CONTROL_FLOW_SHAPES,
  explore,
  FIRST_INSTRUCTIONS,
  firstInstructionShapes,
  type HpatForm,
  type OperationKind,
  type Shape,
  shapeSubject,
  windows,
} from '../../proof/index.js';

const OPERATIONS: readonly OperationKind[] = ['apply', 'repatch', 'revert'];

/** All of them with HOTPATCH_PROOF=all, else some. */
const every = (step: number) => (_shape: Shape, index: number) =>
  process.env.HOTPATCH_PROOF === 'all' || index % step === 0;

async function violations(shape: Shape, fetch: 'coherent' | 'weak', processors: number, hpatForm?: HpatForm) {
  const found: string[] = [];
  for (const operation of OPERATIONS) {
    const source = await shapeSubject(shape, operation, hpatForm);
    const result = await explore(source, { protocol: windows, processors, fetch });
    expect(result?.complete).toBe(true);
    for (const { rule, text } of result?.violations ?? []) found.push(`${operation}: ${rule}: ${text}`);
  }
  return found;
}

describe('the shapes', () => {
  const lengths = Object.entries(FIRST_INSTRUCTIONS).flatMap(([architecture, instructions]) =>
    Object.entries(instructions).map(([length, text]) => ({ architecture, length: Number(length), text })),
  );
  it.each(lengths)('$architecture: $text is one instruction of $length bytes', async (one) => {
    const architecture = one.architecture as ArchitectureName;
    const bytes = await assemble(architecture, one.text, { address: 0n });
    expect(bytes).toHaveLength(one.length);
    expect(await disassemble(architecture, bytes, 0n)).toMatchObject([{ length: one.length }]);
  });

  it('have first instructions of every length from 2 to 10 bytes', () => {
    const wanted = Array.from({ length: 9 }, (_, index) => index + 2);
    expect(Object.keys(FIRST_INSTRUCTIONS.x64).map(Number)).toEqual(wanted);
    expect(Object.keys(FIRST_INSTRUCTIONS.x86).map(Number)).toEqual(wanted);
  });

  it('have their entries at every alignment modulo 16, and so modulo 8', async () => {
    for (const architecture of ['x64', 'x86'] as const) {
      const entries = new Set<string>();
      for (const shape of firstInstructionShapes(architecture)) {
        const [f] = shape.base;
        const { offset = 0 } = f?.placement ?? {};
        using subject = await (await shapeSubject(shape, 'apply')).create();
        const [image] = subject.lab.kernel.domain.images;
        expect(Number((image?.symbol('f') ?? 0n) & 15n)).toBe(offset);
        entries.add(`${f?.code[0]?.toString().split(';').length} ${offset}`);
      }
      expect(entries.size).toBeGreaterThanOrEqual(16);
    }
  });
});

describe('every prologue survives its hotpatch', () => {
  it.each(firstInstructionShapes('x64').filter(every(4)))('$name', async (shape) => {
    expect(await violations(shape, 'weak', 1)).toEqual([]);
  });
  it.each(firstInstructionShapes('x86').filter(every(6)))('$name', async (shape) => {
    expect(await violations(shape, 'weak', 1)).toEqual([]);
  });
  it.each(firstInstructionShapes('arm64').filter(every(2)))('$name', async (shape) => {
    expect(await violations(shape, 'weak', 1)).toEqual([]);
  });
  it.each(CONTROL_FLOW_SHAPES.filter(every(2)))('$name', async (shape) => {
    expect(await violations(shape, 'coherent', 2)).toEqual([]);
    expect(await violations(shape, 'weak', 1)).toEqual([]);
  });
  it.each(firstInstructionShapes('x64').filter(every(10)))(
    'with the layout pointers: $name',
    async (shape) => {
      expect(await violations(shape, 'weak', 1, { hpatLayout: 'pointers' })).toEqual([]);
    },
  );
});
