import type { HotPatchChunkInput } from '../image/index.js';
import type { BuildFinding } from './finding.js';
import type { FunctionReport } from './report.js';
import type { Suggestion } from './suggest.js';
import type { VariableReport } from './variables.js';

/** A function that the hotpatch redirects, or would. */
export interface PatchedFunction {
  readonly name: string;
  /** Where the fixed build's source begins it, where that build's PDB has lines. */
  readonly file?: string;
  readonly line?: number;
  readonly reasons: readonly string[];
}

/** Everything that a build has to say, whether a hotpatch was made or refused. */
export interface BuildReport {
  readonly patched: readonly PatchedFunction[];
  /** Functions that are the same in both builds. */
  readonly unchanged: number;
  /** Functions that are in no record and that patched code does not reach. */
  readonly left: number;
  readonly variables: readonly VariableReport[];
  /** The chunks of the table: how many records each has. */
  readonly records: readonly {
    readonly direction: HotPatchChunkInput['direction'];
    readonly type: HotPatchChunkInput['type'];
    readonly records: number;
  }[];
  /** Refusals first, then warnings, grouped by rule. */
  readonly findings: readonly BuildFinding[];
  /** How to compile the fixed build so that more of it passes. */
  readonly suggestion: Suggestion;
}

/** The report for an outcome; without records and functions when the images could not be compared at all. */
export function buildReport({
  functions = [],
  variables = [],
  chunks = [],
  findings,
  suggestion = { functions: [], notes: [] },
}: {
  readonly functions?: readonly FunctionReport[];
  readonly variables?: readonly VariableReport[];
  readonly chunks?: readonly HotPatchChunkInput[];
  readonly findings: readonly BuildFinding[];
  readonly suggestion?: Suggestion;
}): BuildReport {
  return {
    patched: functions
      .filter(({ role }) => role === 'patched')
      .map(({ name, source, reasons }) => ({ name, ...source, reasons })),
    unchanged: functions.filter(({ verdict }) => verdict === 'unchanged').length,
    left: functions.filter(({ role }) => role === 'out').length,
    variables,
    records: chunks.map(({ direction, type, records }) => ({ direction, type, records: records.length })),
    findings,
    suggestion,
  };
}
