import { hostname } from 'node:os';
import { withFolder } from '../folder.js';
import { kindNamed } from '../kinds/index.js';
import { WorkerPool } from '../pool.js';
import { FileFolder } from '../store/files.js';
import { connect, type QueueAddress } from './address.js';
import { TravellingFiles } from './files.js';
import { encodeOutcome, type UnitJob, type UnitResult } from './job.js';
import { loadBullmq } from './packages.js';

export interface WorkOptions {
  readonly queue: QueueAddress;
  readonly workers?: number;
  /** Seconds after which a unit has hung. */
  readonly timeout?: number;
  /** A folder that all machines see. */
  readonly files?: string;
  /** Ends after so many seconds without work. Default: never. */
  readonly idle?: number;
  readonly signal?: AbortSignal;
  readonly onUnit?: (done: number, unit: UnitJob['unit']) => void;
}

/** A worker that is gone so long has lost its units to others. */
const LOCK = 10_000;
const STALLED = 5000;
/** Of a unit: so often its worker may be gone. What kills workers again and again is ended by the pool as a finding. */
const MOST_STALLED = 10;

/** Takes units from a queue and does them in processes of this machine, until it is told to end. */
export async function workOn(options: WorkOptions): Promise<number> {
  const { queue: address, workers, timeout, idle, signal, onUnit } = options;
  const connection = await connect(address);
  const { Worker } = await loadBullmq();
  return withFolder(async (folder) => {
    await using pool = new WorkerPool({
      folder,
      ...(workers === undefined ? {} : { workers }),
      ...(timeout === undefined ? {} : { timeout }),
    });
    const files = new TravellingFiles(connection, address.name, new FileFolder(folder), options.files);
    const name = `${hostname()} ${process.pid}`;
    let done = 0;
    let lastWork = performance.now();
    let busy = 0;
    const worker = new Worker<UnitJob, UnitResult>(
      address.name,
      async ({ data: { unit } }) => {
        busy += 1;
        try {
          for (const file of kindNamed(unit.kind).files(unit)) await files.fetch(file);
          const { outcome, seconds } = await pool.perform(unit);
          done += 1;
          onUnit?.(done, unit);
          return { outcome: encodeOutcome(outcome), seconds, worker: name };
        } finally {
          busy -= 1;
          lastWork = performance.now();
        }
      },
      {
        connection: connection.duplicate({ lazyConnect: false }),
        concurrency: pool.size,
        lockDuration: LOCK,
        stalledInterval: STALLED,
        maxStalledCount: MOST_STALLED,
      },
    );
    worker.on('error', () => undefined);
    try {
      while (signal?.aborted !== true) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        if (idle !== undefined && busy === 0 && performance.now() - lastWork > idle * 1000) break;
      }
    } finally {
      await worker.close().catch(() => undefined);
      connection.disconnect();
    }
    return done;
  });
}
