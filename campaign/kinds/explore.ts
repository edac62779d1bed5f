import * as v from 'valibot';
import { exploreCell, MATRIX, type Cell as MatrixCell, PLACES_MATRIX } from '../../proof/index.js';
import { Tally } from '../unit.js';
import { defineKind } from './kind.js';

/** Every search of the matrix by its name: `x64 current, kernel, apply, 2, weak`. */
const CELLS: ReadonlyMap<string, MatrixCell> = new Map(
  [...MATRIX, ...PLACES_MATRIX].map((cell) => [
    [cell.form, cell.places, cell.operation, cell.processors, cell.fetch].join(', '),
    cell,
  ]),
);

const only = <T extends string | number>(values: readonly T[]) =>
  v.optional(v.pipe(v.array(v.picklist(values)), v.minLength(1)));

const valuesOf = <K extends keyof MatrixCell>(name: K): MatrixCell[K][] => [
  ...new Set([...CELLS.values()].map((cell) => cell[name])),
];

const work = v.strictObject({
  kind: v.literal('explore'),
  forms: only(valuesOf('form')),
  places: only(valuesOf('places')),
  operations: only(valuesOf('operation')),
  processors: only(valuesOf('processors')),
  fetch: only(valuesOf('fetch')),
});
const unit = v.strictObject({ kind: v.literal('explore'), cell: v.picklist([...CELLS.keys()]) });

/** So that a search is ended by the pool's limit alone, which is no outcome. */
const WITHOUT_LIMIT = 1e9;

/** Searches of the matrix of docs/proof.md: every interleaving of calls with an operation of the engine. */
export const explore = defineKind({
  work,
  unit,
  *cut({ kind, forms, places, operations, processors, fetch }) {
    const isWanted = <T>(wanted: readonly T[] | undefined, value: T) => wanted?.includes(value) ?? true;
    for (const [name, cell] of CELLS)
      if (
        isWanted(forms, cell.form) &&
        isWanted(places, cell.places) &&
        isWanted(operations, cell.operation) &&
        isWanted(processors, cell.processors) &&
        isWanted(fetch, cell.fetch)
      )
        yield { kind, cell: name };
  },
  async perform(of) {
    const cell = CELLS.get(of.cell);
    if (cell === undefined) throw new RangeError(of.cell);
    const { complete, states, transitions, violations } = await exploreCell(cell, {
      mostSeconds: WITHOUT_LIMIT,
    });
    const tally = new Tally();
    tally.count(complete ? 'complete' : 'bounded');
    tally.note('states', states);
    tally.note('transitions', transitions);
    for (const { rule, text } of violations) tally.find(`explore.${rule}`, text, of);
    return tally.outcome;
  },
  cell: (of) => {
    const cell = CELLS.get(of.cell);
    return {
      row: `explore ${cell?.form ?? ''}, ${cell?.places ?? ''}`,
      column: `${cell?.operation ?? ''} ${cell?.fetch ?? ''}`,
    };
  },
});
