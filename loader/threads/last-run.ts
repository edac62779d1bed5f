import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { threadId } from 'node:worker_threads';
import { formatAddress } from '../../cpu/index.js';
import type { Thread } from './thread.js';

/** Bytes for what one thread of the host says: a letter, and text up to a NUL. */
const SLOT = 512;
const [RUNS, HAS_RUN] = ['R', 'E'].map((letter) => letter.charCodeAt(0)) as [number, number];

/** Names the file of {@link noteRunsIn} for a process that runs guest code for another one. */
export const LAST_RUNS = 'HOTPATCH_LAST_RUNS';

let file: number | undefined;

/** As {@link noteRunsIn}, for as long as this process lives, when another one has asked for it by {@link LAST_RUNS}. */
export function noteRunsAsAsked(): void {
  const path = process.env[LAST_RUNS];
  if (path !== undefined) noteRunsIn(path);
}

/**
 * From now on notes in a file what this thread of the host is about to run, and that it has run, for whoever looks when
 * the process has died: the file is as the last store left it. Until what is returned is disposed of.
 * @param path of a file that is there; other threads and processes may share it
 */
export function noteRunsIn(path: string): Disposable {
  const own = openSync(path, 'r+');
  file = own;
  return {
    [Symbol.dispose]() {
      if (file === own) file = undefined;
      closeSync(own);
    },
  };
}

/** A thread is about to run on. */
export function noteRun(thread: Thread): void {
  if (file === undefined) return;
  const { pc } = thread;
  const image = thread.domain.imageAt(pc)?.baseDllName ?? 'no image';
  const place = `${thread.describe(pc)} (${formatAddress(thread.architecture.name, pc)})`;
  const text = `${image}, at ${place}, thread ${thread.id} (${thread.name})`;
  const bytes = Buffer.alloc(SLOT);
  bytes.write(text, 1, SLOT - 2, 'utf8');
  bytes[0] = RUNS;
  writeSync(file, bytes, 0, SLOT, threadId * SLOT);
}

/** It stands still again. */
export function noteStop(): void {
  if (file !== undefined) writeSync(file, Uint8Array.of(HAS_RUN), 0, 1, threadId * SLOT);
}

/** What the file of {@link noteRunsIn} says, as the end of a sentence: of what had died, what it ran. */
export function describeRuns(path: string): string {
  const bytes = readFileSync(path);
  const slots = Array.from({ length: Math.ceil(bytes.length / SLOT) }, (_, index) =>
    bytes.subarray(index * SLOT, (index + 1) * SLOT),
  ).filter((slot) => slot[0] === RUNS || slot[0] === HAS_RUN);
  const running = slots.filter((slot) => slot[0] === RUNS);
  const isRunning = running.length > 0;
  const begun = (isRunning ? running : slots).map((slot) => slot.toString('utf8', 1, slot.indexOf(0, 1)));
  if (begun.length === 0) return 'before it had run guest code';
  return isRunning
    ? `while it ran guest code; that run began in ${begun.join('; and in ')}`
    : `while it ran no guest code; the last run had begun in ${begun.join('; and in ')}`;
}
