import type { Comparison, Verdict } from './compare.js';
import { type Confirmations, isIn } from './confirm.js';
import type { CodeFunction, Program } from './program.js';
import type { Reach } from './reach.js';
import type { RecordSet } from './records.js';
import { irNames } from './suggest.js';

/** What became of one function, for people. */
export interface FunctionReport {
  readonly name: string;
  /** The names that LLVM may know it by, where they are others: for -fms-secure-hotpatch-functions-list. */
  readonly irNames?: readonly string[];
  /** The object file. */
  readonly module?: string;
  readonly verdict: Verdict;
  /**
   * `patched`: the base's entry leads to the patch image. `inside`: runs in the patch image, reached from patched code.
   * `redirected`: the patch image's copy leads back to the base. `out`: none of these.
   */
  readonly role: 'patched' | 'inside' | 'redirected' | 'out';
  readonly baseRva?: number;
  readonly fixedRva?: number;
  /** Where the fixed build's source begins it, where that build's PDB has lines. */
  readonly source?: { readonly file: string; readonly line: number };
  readonly reasons: readonly string[];
  /** Does it have an S_HOTPATCHFUNC record? Undefined when no function has. */
  readonly isMarked?: boolean;
  /** Was it named? Undefined when none was. */
  readonly isNamed?: boolean;
}

export function reportFunctions(
  { functions, fixed: program }: Comparison,
  reach: Reach,
  records: RecordSet,
  { marked, named }: Confirmations = {},
): FunctionReport[] {
  const forward = new Set(records.forward.map(({ rva }) => rva));
  const backward = new Set(records.backward.map(({ rva }) => rva));
  return functions.flatMap(({ verdict, base, fixed, reasons }): FunctionReport[] => {
    const code = fixed ?? base;
    if (code === undefined) return [];
    const isMarked = isIn(marked, code);
    const isNamed = isIn(named, code);
    const names = irNames(code);
    const { role, why } = roleOf(base, fixed, { reach, forward, backward });
    const source = role === 'patched' ? sourceOf(program, fixed) : undefined;
    return [
      {
        name: code.name,
        ...(names.every((name) => name === code.name) ? {} : { irNames: names }),
        ...(code.module === undefined ? {} : { module: code.module }),
        verdict,
        role,
        ...(base === undefined ? {} : { baseRva: base.rva }),
        ...(fixed === undefined ? {} : { fixedRva: fixed.rva }),
        ...(source === undefined ? {} : { source }),
        reasons: [...reasons, ...why],
        ...(isMarked === undefined ? {} : { isMarked }),
        ...(isNamed === undefined ? {} : { isNamed }),
      },
    ];
  });
}

function sourceOf(program: Program, fixed: CodeFunction | undefined): FunctionReport['source'] {
  const at = fixed === undefined ? undefined : program.source.symbols.lines?.byAddress(fixed.rva);
  return at === undefined ? undefined : { file: at.file.name, line: at.line };
}

function roleOf(
  base: CodeFunction | undefined,
  fixed: CodeFunction | undefined,
  { reach, forward, backward }: { reach: Reach; forward: Set<number>; backward: Set<number> },
): { role: FunctionReport['role']; why: string[] } {
  if (base !== undefined && forward.has(base.rva)) return { role: 'patched', why: [] };
  if (fixed === undefined) return { role: 'out', why: [] };
  if (backward.has(fixed.rva)) {
    const by = reach.leaving.get(fixed);
    return { role: 'redirected', why: by === undefined ? [] : [`reached by ${by.name}`] };
  }
  if (!reach.inside.has(fixed)) return { role: 'out', why: ['patched code does not reach it'] };
  const by = reach.inside.get(fixed);
  return { role: 'inside', why: [by === undefined ? 'called by the engine' : `reached by ${by.name}`] };
}
