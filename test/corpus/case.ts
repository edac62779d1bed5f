import type { BuildRuleId } from '../../builder/index.js';
import type { Architecture } from './toolchain.js';
import type { Victim } from './victim.js';

/** One generated argument of a function in the differential check. */
export type Generator =
  | { readonly kind: 'number'; readonly from: number; readonly to: number }
  /** A pointer to random bytes. */
  | { readonly kind: 'bytes'; readonly size: number }
  /** A pointer to a random printable string. */
  | { readonly kind: 'text'; readonly longest: number };

export const number = (from: number, to: number): Generator => ({ kind: 'number', from, to });
export const bytes = (size: number): Generator => ({ kind: 'bytes', size });
export const text = (longest: number): Generator => ({ kind: 'text', longest });

/** A known fault, its fix, and what shows each: the manifest of one corpus program. */
export interface CorpusCase {
  readonly name: string;
  readonly kind: 'dll' | 'driver';
  /** The weakness by its CWE number and name. */
  readonly weakness: string;
  /** A published fault of the same class. */
  readonly after: string;
  /** What was wrong, and what the fix does. */
  readonly story: string;
  readonly licence: 'GPL-2.0-or-later';
  /** Functions on the -fms-secure-hotpatch-functions-list of the fixed build. */
  readonly marked: readonly string[];
  /** Values of HP_FIX for which a hotpatch is built, one after the other. Default [1]. */
  readonly fixes?: readonly number[];
  /** Refusals that the case knows better about. */
  readonly allow?: readonly BuildRuleId[];
  /** Functions that the (last) hotpatch redirects; what the compiler makes of it may differ by processor. */
  readonly patched: readonly string[] | Readonly<Record<Architecture, readonly string[]>>;
  /** Does what shows the fault, on a fresh machine. The same steps must have another outcome when the fix is in. */
  readonly show: (victim: Victim) => unknown;
  /** What `show` gives on the base, and with each of the fixes. */
  readonly outcomes: { readonly base: unknown; readonly fixed: readonly unknown[] };
  /** A harmless call during which the hotpatch is applied: it must finish in the old code. */
  readonly during: {
    readonly call: (victim: Victim) => {
      readonly function: string;
      readonly parameters: readonly (bigint | number)[];
    };
    /** The thread is stopped before the first instruction of this function, which the changed one calls. */
    readonly stopIn: string;
    readonly result: number;
  };
  /** Functions that the fix does not mean to change, with generators for their arguments. */
  readonly differential: Readonly<Record<string, readonly Generator[]>>;
  /** Exported functions that are unchanged and yet not compared, and why. */
  readonly notCompared?: Readonly<Record<string, string>>;
}

export function defineCase(definition: CorpusCase): CorpusCase {
  return definition;
}
