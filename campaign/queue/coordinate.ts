import { CampaignError } from '../error.js';
import { kindNamed } from '../kinds/index.js';
import type { CampaignProgress, RunOptions } from '../run.js';
import { FileFolder } from '../store/files.js';
import type { Unit } from '../unit.js';
import { connect, type QueueAddress, shownAddress } from './address.js';
import { TravellingFiles } from './files.js';
import { decodeOutcome, type UnitJob, type UnitResult } from './job.js';
import { loadBullmq, type NewJob, type Queue } from './packages.js';

export interface QueueRunOptions extends Omit<RunOptions, 'workers' | 'timeout'> {
  readonly queue: QueueAddress;
  /** A folder that all machines see. */
  readonly files?: string;
  /** Bytes of a file that may lie in the queue's server. */
  readonly mostInQueue?: number;
}

/** Units in the queue at a time: enough for a thousand workers, and no more than a server holds easily. */
const MOST_WAITING = 5000;
const BATCH = 500;
const POLL = 200;
/** Milliseconds after which a queue that has no work while some is left is filled anew. */
const REFILL = 2000;
const ATTEMPTS = 3;
/** Before the name of the unit: BullMQ takes no names that are numbers. */
const JOB = 'unit-';

type UnitQueue = Queue<UnitJob, UnitResult>;

/**
 * Puts what is left of a campaign into a queue and collects what workers make of it. A unit is a job whose name is the
 * unit's: it cannot be in the queue twice, and what comes back twice counts once. What a server has lost is put in again.
 * @throws CampaignError `queue.unreachable`; what no worker could do, and why
 */
export async function runQueued(options: QueueRunOptions): Promise<void> {
  const { results, folder, queue: address, share, signal, onProgress } = options;
  const connection = await connect(address);
  const { Queue: BullQueue } = await loadBullmq();
  const queue: UnitQueue = new BullQueue<UnitJob, UnitResult>(address.name, { connection });
  queue.on('error', () => undefined);
  const files = new TravellingFiles(
    connection,
    address.name,
    new FileFolder(folder),
    options.files,
    options.mostInQueue,
  );
  const started = performance.now();
  let cases = 0;
  const left = new Map(results.remaining(share).map(({ id, unit }) => [id, unit]));
  const sent = new Set<string>();
  let idleSince: number | undefined;
  const progress = (): CampaignProgress => ({
    ...results.count,
    cases,
    seconds: (performance.now() - started) / 1000,
  });
  try {
    while (left.size > 0 && signal?.aborted !== true) {
      const finished = await queue.getCompleted(0, BATCH - 1);
      for (const job of finished) {
        const id = (job.id ?? '').slice(JOB.length);
        const unit = left.get(id);
        const { outcome, seconds, worker } = job.returnvalue;
        if (unit !== undefined && results.add(id, unit, { outcome: decodeOutcome(outcome), seconds, worker }))
          cases += outcome.cases;
        left.delete(id);
      }
      await Promise.all(finished.map((job) => job.remove().catch(() => undefined)));
      await refuse(queue, address);
      if (finished.length > 0) onProgress?.(progress());
      const {
        waiting = 0,
        active = 0,
        delayed = 0,
        completed = 0,
      } = await queue.getJobCounts('waiting', 'active', 'delayed', 'completed');
      const here = waiting + active + delayed;
      if (here + completed === 0) {
        idleSince ??= performance.now();
        if (performance.now() - idleSince > REFILL) sent.clear();
      } else idleSince = undefined;
      if (here < MOST_WAITING / 2) await fill(queue, left, sent, files);
      if (finished.length === 0) await new Promise((resolve) => setTimeout(resolve, POLL));
    }
    onProgress?.(progress());
    if (left.size === 0) await files.forget();
  } finally {
    await queue.close().catch(() => undefined);
    connection.disconnect();
  }
}

async function fill(
  queue: UnitQueue,
  left: ReadonlyMap<string, Unit>,
  sent: Set<string>,
  files: TravellingFiles,
): Promise<void> {
  const jobs: NewJob<UnitJob>[] = [];
  for (const [id, unit] of left) {
    if (jobs.length >= MOST_WAITING / 2) break;
    if (sent.has(id)) continue;
    for (const file of kindNamed(unit.kind).files(unit)) await files.send(file);
    sent.add(id);
    const backoff = { type: 'exponential', delay: 1000 } as const;
    jobs.push({
      name: unit.kind,
      data: { unit },
      opts: { jobId: `${JOB}${id}`, attempts: ATTEMPTS, backoff },
    });
  }
  if (jobs.length > 0) await queue.addBulk(jobs);
}

/** What no worker could do ends the campaign: it is no outcome of the unit. */
async function refuse(queue: UnitQueue, address: QueueAddress): Promise<void> {
  const [failed] = await queue.getFailed(0, 0);
  if (failed === undefined) return;
  await failed.remove().catch(() => undefined);
  throw new CampaignError('tool.missing', `no worker could do ${failed.id}: ${failed.failedReason}`, {
    place: shownAddress(address),
  });
}
