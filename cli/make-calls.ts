import type { MadeHotPatch } from '../builder/index.js';
import { callWords } from './arguments.js';
import { callReport } from './call-report.js';
import { describeReport, reportOf } from './errors.js';

/** One call, in the base, in the fixed build alone, and in the base with its hotpatch. */
export interface MadeCall {
  readonly call: string;
  /** `0x2a`, or what ended the call. */
  readonly base: string;
  readonly fixed: string;
  /** Undefined: there is no hotpatch. */
  readonly patched?: string;
  /** Does the patched base do what the fixed build does? */
  readonly isAsFixed: boolean;
}

/** Runs each call on fresh loads. */
export function madeCalls(made: MadeHotPatch, calls: readonly string[]): MadeCall[] {
  return calls.map((call) => {
    const run = (image: string, patch: readonly string[] = []) => outcome(image, call, patch);
    const base = run(made.base);
    const fixed = run(made.fixed);
    if (made.hotPatch === undefined) return { call, base, fixed, isAsFixed: false };
    const patched = run(made.base, [made.hotPatch]);
    return { call, base, fixed, patched, isAsFixed: patched === fixed };
  });
}

function outcome(image: string, call: string, patch: readonly string[]): string {
  const [name = '', ...args] = callWords(call);
  try {
    const report = callReport({
      image,
      function: name,
      arguments: args,
      with: [],
      patch,
      repeat: 1,
      processors: 1,
      seed: 1,
      hotPatchTableSize: 0x1000,
    });
    const [result] = report.results;
    const buffers = (result?.buffers ?? []).map(({ argument, hex }) => ` ${argument}=${hex}`);
    return `0x${(result?.result ?? 0n).toString(16)}${buffers.join('')}`;
  } catch (error) {
    const told = reportOf(error);
    if (told === undefined || told.exitCode === 2) throw error;
    return describeReport(told).split('\n')[0] ?? '';
  }
}
