import type { ArchitectureName } from '../../cpu/index.js';
import { Lab } from '../../lab/index.js';
import type { ImageDomain } from '../../loader/index.js';
import type { ExpectedResults, HpatForm, OperationKind, Subject, SubjectSource } from '../subject.js';
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

/** Where the base is: in the kernel, in two processes, in two sessions, in VTL1. */
export type Places = 'kernel' | 'processes' | 'sessions' | 'secureKernel';

/** The subject that applies, replaces or takes back the shape's patch. */
export async function shapeSubject(
  shape: Shape,
  operation: OperationKind,
  hpatForm: HpatForm = {},
  places: Places = 'kernel',
): Promise<SubjectSource> {
  const { architecture } = shape;
  const form = places === 'processes' ? 'dll' : 'driver';
  const base = await buildBase(architecture, shape.base, form);
  const patches = await Promise.all(
    shape.patches.map((patch, index) => buildPatch(architecture, base, patch, index + 1, form)),
  );
  const [original, first, second] = shape.results;
  const results: Record<OperationKind, ExpectedResults> = {
    apply: { before: original, after: first },
    repatch: { before: first, after: second },
    revert: { before: first, after: original },
  };
  const during = shape.during?.[operation];
  return {
    name: `${shape.name}, ${places === 'kernel' ? '' : `${PLACES_TEXT[places]}, `}${operation}`,
    roles: places === 'processes' || places === 'sessions' ? 2 : 1,
    expected: { ...results[operation], ...(during === undefined ? {} : { during }) },
    async create({
      processors = 1,
      instructionFetch = 'coherent',
      hpatForm: other = {},
    } = {}): Promise<Subject> {
      const lab = await Lab.boot({
        architecture,
        processors,
        instructionFetch,
        memorySize: places === 'kernel' ? MEMORY_SIZE : MEMORY_SIZE_OF_PROCESSES,
        ...hpatForm,
        ...other,
      });
      try {
        const [first, ...others] = domainsOf(lab, places).map((domain) => {
          const loaded = lab.kernel.loadImage(base.image, { domain });
          return { target: loaded.symbol(shape.call), arguments: shape.arguments, place: domain.name };
        });
        if (first === undefined) throw new RangeError('a shape has a place');
        const [older, newer] = patches;
        if (older === undefined || newer === undefined) throw new RangeError('a shape has two patches');
        const inForce = operation === 'apply' ? undefined : lab.engine.load(older);
        return {
          lab,
          operation,
          calls: [first, ...others],
          steps: () =>
            operation === 'revert' && inForce !== undefined
              ? lab.engine.unloadSteps(inForce)
              : lab.engine.loadSteps(operation === 'repatch' ? newer : older),
          [Symbol.dispose]: () => lab[Symbol.dispose](),
        };
      } catch (error) {
        lab[Symbol.dispose]();
        throw error;
      }
    },
  };
}

const PLACES_TEXT = {
  processes: 'a DLL in two processes',
  sessions: 'a driver in two sessions',
  secureKernel: 'a module of the Secure Kernel',
} as const;

function domainsOf(lab: Lab, places: Places): ImageDomain[] {
  const { kernel } = lab;
  switch (places) {
    case 'kernel':
      return [kernel.domain];
    case 'processes':
      return ['first.exe', 'second.exe'].map((name) => lab.createProcess(name).domain);
    case 'sessions':
      return [lab.createSession().domain, lab.createSession().domain];
    case 'secureKernel':
      return kernel.secureKernel === undefined ? [] : [kernel.secureKernel.domain];
  }
}

const MEMORY_SIZE = 4 * 1024 * 1024;
const MEMORY_SIZE_OF_PROCESSES = 16 * 1024 * 1024;
