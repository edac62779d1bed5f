import { getHeapStatistics } from 'node:v8';
import { Worker } from 'node:worker_threads';
import type { Exploration, ExplorationCheckpoint, Progress } from '../proof/index.js';
import type { ImageExploration } from './explore-image.js';
import { type ExploreFlags, exploreOperation } from './explore-run.js';
import type { ThreadMessage, ThreadTask } from './explore-thread.js';

export interface Explored {
  readonly operation: ImageExploration;
  readonly exploration: Exploration;
}

const MEGABYTE = 1024 * 1024;
/** Of a command that SIGINT ends. */
const INTERRUPTED = 130;

/**
 * Explores operations, each in a thread of its own, so many at a time; what is found does not depend on how many.
 * Ctrl+C ends all of them, with what they have found; a second one ends the command.
 */
export async function* exploreInThreads(
  file: string | undefined,
  flags: ExploreFlags,
  operations: readonly ImageExploration[],
  knownOf: (operation: ImageExploration) => Exploration | undefined,
  onProgress: (operation: ImageExploration, progress: Progress) => void,
): AsyncGenerator<Explored> {
  const interrupted = new SharedArrayBuffer(4);
  const flag = new Int32Array(interrupted);
  const interrupt = () => {
    if (Atomics.exchange(flag, 0, 1) !== 0) process.exit(INTERRUPTED);
  };
  process.on('SIGINT', interrupt);
  try {
    const turns = new Turns(flags.workers ?? 1);
    const results = operations.map((operation) => {
      const known = knownOf(operation);
      if (known?.complete === true) return Promise.resolve(known);
      const task = {
        flags,
        index: operation.index,
        interrupted,
        ...(file === undefined ? {} : { file }),
        ...resuming(known?.checkpoint),
      };
      const result = turns
        .take()
        .then((leave) =>
          inThread(task, operation, (progress) => onProgress(operation, progress)).finally(leave),
        );
      result.catch(() => undefined);
      return result;
    });
    for (const [index, operation] of operations.entries()) {
      const exploration = await results[index];
      if (exploration !== undefined) yield { operation, exploration };
    }
  } finally {
    process.off('SIGINT', interrupt);
  }
}

/** So many may do something at a time. */
class Turns {
  readonly #waiting: (() => void)[] = [];

  constructor(private free: number) {}

  /** @returns what says that it is done */
  async take(): Promise<() => void> {
    if (this.free > 0) this.free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return () => {
      const next = this.#waiting.shift();
      if (next === undefined) this.free += 1;
      else next();
    };
  }
}

export const resuming = (resume: ExplorationCheckpoint | undefined) =>
  resume === undefined ? {} : { resume };

async function inThread(
  task: ThreadTask,
  operation: ImageExploration,
  onProgress: (progress: Progress) => void,
): Promise<Exploration | undefined> {
  const isSource = import.meta.url.endsWith('.ts');
  const thread = new Worker(
    new URL(isSource ? './explore-thread.ts' : './explore-thread.js', import.meta.url),
    {
      workerData: task,
      resourceLimits: { maxOldGenerationSizeMb: Math.ceil(getHeapStatistics().heap_size_limit / MEGABYTE) },
      ...(isSource ? { execArgv: ['--import', 'tsx'] } : {}),
    },
  );
  const outcome = await new Promise<ThreadMessage & { kind: 'done' }>((resolve, reject) => {
    thread.on('message', (message: ThreadMessage) => {
      if (message.kind === 'done') resolve(message);
      else onProgress(message.progress);
    });
    thread.on('error', reject);
    thread.on('exit', () => reject(new Error('the thread of an exploration has ended')));
  }).catch((): undefined => undefined);
  await thread.terminate();
  // An error keeps what it is only where it is thrown: it is met once more, here.
  return outcome === undefined
    ? await exploreOperation(operation, task.flags, resuming(task.resume))
    : outcome.exploration;
}
