import type { ArchitectureName } from '../cpu/index.js';
import { FUNCTION_ENTRY_SIZE } from '../image/index.js';
import type { Exploration, ExploreOptions } from './explore/exploration.js';
import { explore } from './explore.js';
import { type WriteProtocol, windows } from './protocols/index.js';
import {
  firstInstruction,
  type Places,
  paddingOnAnotherPage,
  type Shape,
  shapeSubject,
} from './shapes/index.js';
import type { HpatForm, OperationKind } from './subject.js';

/** One search: a form of the engine, what it does, who runs meanwhile, and where the base is. */
export interface Cell {
  readonly form: string;
  readonly architecture: ArchitectureName;
  readonly hpatForm: HpatForm;
  readonly places: Places;
  readonly operation: OperationKind;
  readonly processors: number;
  readonly fetch: 'coherent' | 'weak';
}

interface Form extends Pick<Cell, 'architecture' | 'hpatForm'> {
  readonly name: string;
}

const FORMS: readonly Form[] = [
  { name: 'x64 current', architecture: 'x64', hpatForm: {} },
  { name: 'x64 earlier', architecture: 'x64', hpatForm: { hpatLayout: 'pointers' } },
  { name: 'x64 retpoline', architecture: 'x64', hpatForm: { retpoline: true } },
  { name: 'x86', architecture: 'x86', hpatForm: {} },
  { name: 'ARM64', architecture: 'arm64', hpatForm: {} },
];
const OPERATIONS: readonly OperationKind[] = ['apply', 'repatch', 'revert'];
const FETCH = ['coherent', 'weak'] as const;

function cells(forms: readonly Form[], places: Places, processors: readonly number[]): Cell[] {
  return forms.flatMap(({ name: form, ...rest }) =>
    OPERATIONS.flatMap((operation) =>
      processors.flatMap((count) =>
        FETCH.map((fetch) => ({ form, ...rest, places, operation, processors: count, fetch })),
      ),
    ),
  );
}

const only = (...names: readonly string[]) => FORMS.filter(({ name }) => names.includes(name));

/** Every form of the engine, every operation, one to three processors, coherent and weak instruction fetch. */
export const MATRIX: readonly Cell[] = cells(FORMS, 'kernel', [1, 2, 3]);

/** A DLL in two processes, a driver in two sessions, each processor in another one; and a module of the Secure Kernel. */
export const PLACES_MATRIX: readonly Cell[] = [
  ...cells(only('x64 current', 'x64 earlier', 'x86', 'ARM64'), 'processes', [2, 3]),
  ...cells(only('x64 current', 'x64 earlier', 'x64 retpoline', 'ARM64'), 'sessions', [2, 3]),
  ...cells(only('x64 current', 'x64 earlier', 'ARM64'), 'secureKernel', [2]),
];

/** A leaf function with the shortest first instruction, called from another one. */
export async function exploreCell(
  cell: Cell,
  { mostSeconds = 600, reduction = true }: Pick<ExploreOptions, 'mostSeconds' | 'reduction'> = {},
): Promise<Exploration> {
  const { architecture, operation, hpatForm, places, processors, fetch } = cell;
  const shape = firstInstruction(architecture, FUNCTION_ENTRY_SIZE[architecture]);
  const source = await shapeSubject(shape, operation, hpatForm, places);
  const result = await explore(source, { protocol: windows, processors, fetch, mostSeconds, reduction });
  if (result === undefined) throw new RangeError(`${cell.form} has no ${operation}`);
  return result;
}

/** Functions on which negative controls show what is wrong with them: short and long first instruction, end of a line, start of a page. */
const TELLING_SHAPES: readonly Shape[] = [
  ...[0, 7].flatMap((offset) =>
    [5, 2].map((length) => firstInstruction('x64', length, { modulo: 16, offset })),
  ),
  paddingOnAnotherPage,
];

/** Looks for a property that the protocol breaks, on one processor. Undefined: it gets away with it. */
export async function catchControl(protocol: WriteProtocol): Promise<Exploration | undefined> {
  for (const operation of protocol.operations)
    for (const fetch of FETCH)
      for (const shape of TELLING_SHAPES) {
        const result = await explore(await shapeSubject(shape, operation), { protocol, fetch });
        if (result !== undefined && result.violations.length > 0) return result;
      }
  return undefined;
}
