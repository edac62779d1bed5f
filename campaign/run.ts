import { hostname } from 'node:os';
import { WorkerPool } from './pool.js';
import type { Results } from './store/results.js';
import type { Outcome, Unit } from './unit.js';

export interface RunOptions {
  readonly results: Results;
  /** Where the files of units are. */
  readonly folder: string;
  readonly workers?: number;
  /** Seconds after which a unit has hung. */
  readonly timeout?: number;
  /** Only every so-manyeth unit: `index` 0 to `of` - 1. */
  readonly share?: { readonly index: number; readonly of: number };
  /** No further unit is begun when this is aborted. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: CampaignProgress) => void;
}

export interface CampaignProgress {
  readonly done: number;
  readonly units: number;
  readonly findings: number;
  /** Cases that this run has tried. */
  readonly cases: number;
  readonly seconds: number;
}

/** Does what is left of a campaign in processes of this machine. */
export async function runEmbedded(options: RunOptions): Promise<void> {
  const { results, folder, workers, timeout, share, signal, onProgress } = options;
  await using pool = new WorkerPool({
    folder,
    ...(workers === undefined ? {} : { workers }),
    ...(timeout === undefined ? {} : { timeout }),
  });
  const started = performance.now();
  const worker = `${hostname()} ${process.pid}`;
  let cases = 0;
  const queue = results.remaining(share)[Symbol.iterator]();
  const lane = async (): Promise<void> => {
    for (let next = queue.next(); next.done !== true; next = queue.next()) {
      if (signal?.aborted === true) return;
      const { id, unit } = next.value;
      const { outcome, seconds } = await pool.perform(unit);
      results.add(id, unit, { outcome, seconds, worker });
      cases += outcome.cases;
      onProgress?.({ ...results.count, cases, seconds: (performance.now() - started) / 1000 });
    }
  };
  await Promise.all(Array.from({ length: pool.size }, lane));
}

/** One unit in a process of its own: what ends that process is a finding. */
export async function performApart(unit: Unit, folder = '.'): Promise<Outcome> {
  await using pool = new WorkerPool({ workers: 1, folder });
  return (await pool.perform(unit)).outcome;
}
