import { parentPort, workerData } from 'node:worker_threads';
import type { Exploration, ExplorationCheckpoint, Progress } from '../proof/index.js';
import { type ExploreFlags, exploreOperation, operationsOf } from './explore-run.js';
import { noteRuns } from './isolate.js';

/** What a thread is to explore. */
export interface ThreadTask {
  readonly file?: string;
  readonly flags: ExploreFlags;
  readonly index: number;
  /** Where the exploration goes on. */
  readonly resume?: ExplorationCheckpoint;
  /** One 32-bit number: not 0 when the exploration shall end. */
  readonly interrupted: SharedArrayBuffer;
}

export type ThreadMessage =
  | { readonly kind: 'progress'; readonly progress: Progress }
  | { readonly kind: 'done'; readonly exploration: Exploration | undefined };

const LEAST_MILLISECONDS = 100;

await noteRuns();
const { file, flags, index, interrupted, resume } = workerData as ThreadTask;
const flag = new Int32Array(interrupted);
const tell = (message: ThreadMessage) => parentPort?.postMessage(message);
let last = 0;
const operation = (await operationsOf(file, flags)).find((one) => one.index === index);
if (operation === undefined) throw new Error(`there is no operation ${index + 1} any more`);
const exploration = await exploreOperation(operation, flags, {
  ...(resume === undefined ? {} : { resume }),
  isInterrupted: () => Atomics.load(flag, 0) !== 0,
  onProgress: (progress) => {
    const now = performance.now();
    if (now - last < LEAST_MILLISECONDS) return;
    last = now;
    tell({ kind: 'progress', progress });
  },
});
tell({ kind: 'done', exploration });
