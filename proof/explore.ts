import type { Exploration, ExploreOptions } from './explore/exploration.js';
import { exploreEach } from './explore/explorer.js';
import { exploreReduced } from './reduction/explore-reduced.js';
import type { SubjectSource } from './subject.js';

/**
 * Shows what a protocol does in every interleaving of its steps with the instructions of the processors, by the shortest
 * way to each broken property. @returns undefined when the protocol means nothing for the subject
 */
export function explore(source: SubjectSource, options: ExploreOptions): Promise<Exploration | undefined> {
  const { reduction = true } = options;
  return reduction && options.executeEach !== true
    ? exploreReduced(source, options)
    : exploreEach(source, options);
}
