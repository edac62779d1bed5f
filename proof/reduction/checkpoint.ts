import { createHash } from 'node:crypto';
import type { ExplorationCheckpoint } from '../explore/exploration.js';
import type { PreparedProtocol } from '../explore/model.js';
import type { Subject } from '../subject.js';
import type { SavedConflicts } from './conflicts.js';
import type { SavedKnowledge, SavedLocal } from './local-moves.js';
import type { SavedSearch } from './reduced-search.js';
import type { NotedRun } from './run.js';

/** The search of some processors, as far as it has come. */
export interface SavedGroup {
  /** By processor of the group. */
  readonly roles: readonly number[];
  /** Processors that could be explored each by itself are explored together. */
  readonly isSecond: boolean;
  readonly search: SavedSearch;
  readonly locals: readonly SavedLocal[];
}

/** Goes on as if it had not ended. What calls do is executed anew, each case once; what was visited is not visited again. */
export interface SearchCheckpoint extends ExplorationCheckpoint {
  readonly handedOver?: string;
  readonly conflicts: SavedConflicts;
  /** What each role does to memory that others may use, by page. */
  readonly data: readonly ReadonlyMap<number, Uint8Array>[];
  readonly knowledge: SavedKnowledge;
  /** By changed page: contents that no step of the engine leaves. */
  readonly contents: readonly (readonly Uint8Array[])[];
  /** Every run that was made, in order. */
  readonly noted: readonly NotedRun[];
  readonly nextLook: number;
  /** By role: results that were right as mixtures, and such as were not judged. */
  readonly judged: readonly { readonly mixtures: readonly number[]; readonly unjudged: readonly number[] }[];
  readonly group?: SavedGroup;
}

export function isSearchCheckpoint(one: ExplorationCheckpoint): one is SearchCheckpoint {
  return 'conflicts' in one && 'noted' in one;
}

/** Different for another machine, operation, protocol or call. */
export function fingerprintOf({ lab, calls, operation }: Subject, { graph }: PreparedProtocol): string {
  const hash = createHash('sha256');
  hash.update(`${lab.kernel.machine.hash()} ${operation}`);
  for (const { target, arguments: given, place = '' } of calls)
    hash.update(`${target} ${given.join()} ${place};`);
  for (const { id, memory, edges } of graph.nodes)
    hash.update(`${id} ${memory.join()} ${edges.map(({ to, text }) => `${to} ${text}`).join()};`);
  return hash.digest('hex');
}
