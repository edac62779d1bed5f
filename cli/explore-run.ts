import { KernelError } from '../loader/index.js';
import {
  type Exploration,
  type ExplorationCheckpoint,
  type Progress as ExplorationProgress,
  explore,
  type OperationKind,
  protocolNamed,
  scenarioOperations,
  type WriteProtocol,
} from '../proof/index.js';
import { UsageError } from './errors.js';
import { type ImageExploration, type ImageFlags, operationsOfImage } from './explore-image.js';
import { loadScenario } from './scenario-file.js';

export interface ExploreFlags extends ImageFlags {
  readonly cpus: number;
  readonly protocol: string;
  readonly fetch: 'coherent' | 'weak';
  readonly calls?: number;
  readonly operation?: number | OperationKind;
  readonly mostStates?: number;
  readonly mostSeconds?: number;
  /** Megabytes. */
  readonly memory?: number;
  readonly workers?: number;
  readonly reduction: boolean;
  /** File. */
  readonly checkpoint?: string;
  readonly json?: boolean;
}

/** How an exploration that is under way is watched and ended, and where it goes on. */
export interface Watching {
  readonly resume?: ExplorationCheckpoint;
  readonly onProgress?: (progress: ExplorationProgress) => void;
  readonly isInterrupted?: () => boolean;
}

/** What there is to explore, in order. */
export async function operationsOf(
  file: string | undefined,
  flags: ExploreFlags,
): Promise<ImageExploration[]> {
  if (file !== undefined && flags.image !== undefined)
    throw new UsageError(`--image ${flags.image}: ${file} is a scenario, which has images of its own`);
  const { operation } = flags;
  const all =
    file === undefined ? operationsOfImage(flags) : await scenarioOperations(await loadScenario(file));
  const chosen = all.filter(
    ({ index, kind }) => operation === undefined || operation === kind || operation === index + 1,
  );
  if (chosen.length > 0) return chosen;
  throw new UsageError(
    operation === undefined
      ? `${file}: it applies no hotpatch, or calls no function with lab.call or lab.startThread`
      : `${file ?? flags.image}: it has ${all.length} operations (${all.map(({ kind }) => kind).join(', ')}), not ${operation}`,
  );
}

/** @returns undefined when the protocol means nothing for the operation */
export async function exploreOperation(
  { source }: ImageExploration,
  flags: ExploreFlags,
  watching: Watching,
): Promise<Exploration | undefined> {
  try {
    return await explore(source, optionsOf(flags, watching));
  } catch (error) {
    // What the explorer cannot explore: a call that does not return by itself, a result that is none.
    if (error instanceof KernelError && error.rule.startsWith('exploration.'))
      throw new UsageError(`${source.name}: ${error.reason}`);
    throw error;
  }
}

const MEGABYTE = 1024 * 1024;

function optionsOf(flags: ExploreFlags, watching: Watching): Parameters<typeof explore>[1] {
  const { cpus, fetch, calls, mostStates, mostSeconds, memory, reduction } = flags;
  return {
    protocol: protocol(flags.protocol),
    processors: cpus,
    fetch,
    reduction,
    keepsCheckpoint: flags.checkpoint !== undefined,
    ...(calls === undefined ? {} : { calls }),
    ...(mostStates === undefined ? {} : { mostStates }),
    ...(mostSeconds === undefined ? {} : { mostSeconds }),
    ...(memory === undefined ? {} : { mostMemory: memory * MEGABYTE }),
    ...watching,
  };
}

/** @param name one of the option's choices */
function protocol(name: string): WriteProtocol {
  const found = protocolNamed(name);
  if (found === undefined) throw new RangeError(`there is no protocol '${name}'`);
  return found;
}
