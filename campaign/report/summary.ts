import { kindNamed } from '../kinds/index.js';
import type { Results, StoredFinding, UnitState } from '../store/results.js';

/** A cell of the matrix, or a row of it as a whole. */
export interface Count {
  readonly units: number;
  readonly done: number;
  readonly cases: number;
  readonly findings: number;
}

export interface CampaignReport {
  readonly name: string;
  readonly total: Count;
  /** Rows and columns in the order of the plan; by row, by column. */
  readonly matrix: readonly {
    readonly row: string;
    readonly cells: readonly ({ readonly column: string } & Count)[];
    /** What became of the cases, the most frequent first. */
    readonly counts: readonly { readonly what: string; readonly times: number }[];
  }[];
  readonly findings: readonly (StoredFinding & { readonly row: string; readonly column: string })[];
  /** What no two runs have in common. */
  readonly timings?: CampaignTimings;
}

export interface CampaignTimings {
  /** Of the processes that did units, together. */
  readonly seconds: number;
  /** From the first unit that was done to the last one. */
  readonly elapsed: number;
  /** Of each row: cases in a second of one process. */
  readonly rates: readonly { readonly row: string; readonly casesPerSecond: number }[];
  readonly workers: readonly { readonly worker: string; readonly units: number; readonly seconds: number }[];
}

/** What the results say. Without timings, equal results give equal reports, wherever and in whatever order they came about. */
export function reportOn(results: Results, { timings = true } = {}): CampaignReport {
  const units = results.units();
  const findings = results
    .findings()
    .map((finding) => ({ ...finding, ...kindNamed(finding.unit.kind).cell(finding.unit) }));
  const rows = [...new Set(units.map(({ row }) => row))];
  const count = (of: readonly UnitState[], found: readonly unknown[]): Count => ({
    units: of.length,
    done: of.filter(({ done }) => done).length,
    cases: of.reduce((sum, { cases }) => sum + cases, 0),
    findings: found.length,
  });
  const byRow = grouped(units, ({ row }) => row);
  return {
    name: results.name,
    total: count(units, findings),
    matrix: rows.map((row) => {
      const own = byRow.get(row) ?? [];
      const byColumn = grouped(own, ({ column }) => column);
      return {
        row,
        cells: [...byColumn].map(([column, of]) => ({
          column,
          ...count(
            of,
            findings.filter((one) => one.row === row && one.column === column),
          ),
        })),
        counts: countsOf(own),
      };
    }),
    findings,
    ...(timings ? { timings: timingsOf(units, byRow) } : {}),
  };
}

function countsOf(units: readonly UnitState[]): { what: string; times: number }[] {
  const sums = new Map<string, number>();
  for (const { counts } of units)
    for (const [what, times] of Object.entries(counts)) sums.set(what, (sums.get(what) ?? 0) + times);
  return [...sums]
    .map(([what, times]) => ({ what, times }))
    .sort((a, b) => b.times - a.times || (a.what < b.what ? -1 : 1));
}

function timingsOf(
  units: readonly UnitState[],
  byRow: ReadonlyMap<string, readonly UnitState[]>,
): CampaignTimings {
  const done = units.filter((unit) => unit.done);
  const sum = (of: readonly UnitState[], value: (unit: UnitState) => number) =>
    of.reduce((total, unit) => total + value(unit), 0);
  const first = Math.min(...done.map(({ finishedAt, seconds }) => finishedAt - 1000 * seconds));
  const last = Math.max(...done.map(({ finishedAt }) => finishedAt));
  return {
    seconds: sum(done, ({ seconds }) => seconds),
    elapsed: done.length === 0 ? 0 : (last - first) / 1000,
    rates: [...byRow].map(([row, of]) => {
      const seconds = sum(of, (unit) => unit.seconds);
      return { row, casesPerSecond: seconds === 0 ? 0 : sum(of, ({ cases }) => cases) / seconds };
    }),
    workers: [...grouped(done, ({ worker }) => worker)].map(([worker, of]) => ({
      worker,
      units: of.length,
      seconds: sum(of, (unit) => unit.seconds),
    })),
  };
}

/** In the order in which the keys come. */
function grouped<T>(values: readonly T[], keyOf: (value: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const value of values) {
    const key = keyOf(value);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [value]);
    else group.push(value);
  }
  return groups;
}
