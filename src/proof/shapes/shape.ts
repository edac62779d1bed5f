import type { ArchitectureName } from '../../cpu/index.js';
import { Lab } from '../../lab.js';
import type { BootOptions } from '../../loader/index.js';
import type { ExpectedResults, OperationKind, Subject, SubjectSource } from '../subject.js';
import { buildBase, buildPatch, type FunctionSource, type PatchSource } from './program.js';

/** A small base image and two hotpatch images for it: what one kind of function looks like, before and after. */
export interface Shape {
  readonly name: string;
  readonly architecture: ArchitectureName;
  readonly base: readonly FunctionSource[];
  readonly patches: readonly [PatchSource, PatchSource];
  /** Function of the base that the processors call, with these arguments. */
  readonly call: string;
  readonly arguments: readonly number[];
  /** What the call returns with the original code, the first patch, and the second. */
  readonly results: readonly [number, number, number];
  /** Further right results of calls that an operation overtakes. */
  readonly during?: Readonly<Partial<Record<OperationKind, readonly number[]>>>;
}

/** Options of the machine that decide which form of trampoline the engine uses. */
export type Generation = Pick<BootOptions, 'hpatLayout' | 'retpoline'>;

/** The subject that applies, replaces or takes back the shape's patch. */
export async function shapeSubject(
  shape: Shape,
  operation: OperationKind,
  generation: Generation = {},
): Promise<SubjectSource> {
  const { architecture } = shape;
  const base = await buildBase(architecture, shape.base);
  const patches = await Promise.all(
    shape.patches.map((patch, index) => buildPatch(architecture, base, patch, index + 1)),
  );
  const [original, first, second] = shape.results;
  const results: Record<OperationKind, ExpectedResults> = {
    apply: { before: original, after: first },
    repatch: { before: first, after: second },
    revert: { before: first, after: original },
  };
  const during = shape.during?.[operation];
  return {
    name: `${shape.name}, ${operation}`,
    expected: { ...results[operation], ...(during === undefined ? {} : { during }) },
    async create({ processors = 1, instructionFetch = 'coherent' } = {}): Promise<Subject> {
      const lab = await Lab.boot({
        architecture,
        processors,
        instructionFetch,
        memorySize: MEMORY_SIZE,
        ...generation,
      });
      try {
        const loaded = lab.kernel.loadImage(base.image);
        const [older, newer] = patches;
        if (older === undefined || newer === undefined) throw new RangeError('a shape has two patches');
        const inForce = operation === 'apply' ? undefined : lab.engine.loadPatch(older);
        return {
          lab,
          operation,
          call: { target: loaded.symbol(shape.call), arguments: shape.arguments },
          steps: () =>
            operation === 'revert' && inForce !== undefined
              ? lab.engine.unloadPatchSteps(inForce)
              : lab.engine.loadPatchSteps(operation === 'repatch' ? newer : older),
          [Symbol.dispose]: () => lab[Symbol.dispose](),
        };
      } catch (error) {
        lab[Symbol.dispose]();
        throw error;
      }
    },
  };
}

const MEMORY_SIZE = 4 * 1024 * 1024;
