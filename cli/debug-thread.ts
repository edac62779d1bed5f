import { Worker, type WorkerOptions } from 'node:worker_threads';
import { type ChannelEnds, WakingEnd } from '../debugger/index.js';
import type { ErrorReport } from './errors.js';

/** An image that is asked for its calls one by one, in place of a scenario. */
export interface LiveTarget {
  readonly image: string;
  readonly call: string;
  readonly processors: number;
}

export interface DebugWorkerData {
  /** A scenario. */
  readonly file?: string;
  /** In its place; behind the debug adapter only. */
  readonly live?: LiveTarget | undefined;
  readonly seed: number | undefined;
  /** File of an interleaving. */
  readonly schedule?: string | undefined;
  /** Where source files are looked for first. */
  readonly sourceFolders?: readonly string[] | undefined;
  /** Which front end the thread talks to. */
  readonly frontEnd: 'terminal' | 'gdb' | 'dap';
  readonly ends: ChannelEnds;
}

/** The last message of the thread. */
export interface DebugWorkerDone {
  readonly kind: 'done';
  /** An expectation did not hold, or the scenario ended with an error. */
  readonly failed: boolean;
  /** Why it could not run at all. */
  readonly report?: ErrorReport;
}

/** Starts the thread that runs the scenario; `onMessage` gets what its front end sends. */
export function startDebugThread<Incoming, Outgoing>(
  options: Omit<DebugWorkerData, 'ends'>,
  onMessage: (message: Incoming) => void,
): { readonly channel: WakingEnd<Incoming, Outgoing>; readonly done: Promise<DebugWorkerDone> } {
  let finish: (done: DebugWorkerDone) => void = () => undefined;
  let fail: (error: Error) => void = () => undefined;
  const done = new Promise<DebugWorkerDone>((resolve, reject) => {
    finish = resolve;
    fail = reject;
  });
  const channel = new WakingEnd<Incoming | DebugWorkerDone, Outgoing>((message) => {
    if (isDone(message)) finish(message);
    else onMessage(message);
  });
  const data: DebugWorkerData = { ...options, ends: channel.workerEnds };
  const isApart = options.frontEnd === 'dap';
  const worker = startWorker({ workerData: data, transferList: [data.ends.port], stdout: isApart });
  // What a scenario prints would be taken for messages of the protocol.
  if (isApart) worker.stdout.pipe(process.stderr, { end: false });
  worker.on('error', fail);
  return { channel: channel as WakingEnd<Incoming, Outgoing>, done: done.finally(() => channel.close()) };
}

/** Of the sources, as tests run them, TypeScript is loaded through tsx, which a worker does not inherit. */
function startWorker(options: WorkerOptions): Worker {
  if (!import.meta.url.endsWith('.ts'))
    return new Worker(new URL('./debug-worker.js', import.meta.url), options);
  const [tsx, entry] = ['tsx/esm/api', './debug-worker.ts'].map((name) => import.meta.resolve(name));
  return new Worker(`import('${tsx}').then(({ register }) => (register(), import('${entry}')))`, {
    ...options,
    eval: true,
  });
}

function isDone(message: unknown): message is DebugWorkerDone {
  return typeof message === 'object' && message !== null && 'kind' in message && message.kind === 'done';
}
