import { workerData } from 'node:worker_threads';
import {
  BlockingEnd,
  DapFront,
  DebugSession,
  type FrontEnd,
  GdbServer,
  Prompt,
  RemoteTerminal,
} from '../debugger/index.js';
import type { DebugWorkerData, DebugWorkerDone } from './debug-thread.js';
import { reportOf } from './errors.js';
import { loadScheduled } from './schedule.js';

/** The thread that a scenario runs in under the debugger; its front end is in the main thread. */
const { file, seed, schedule, sourceFolders, frontEnd, ends }: DebugWorkerData = workerData;

const FRONT_ENDS: Readonly<Record<DebugWorkerData['frontEnd'], () => Promise<FrontEnd>>> = {
  dap: () => DapFront.create(new BlockingEnd(ends)),
  gdb: () => GdbServer.create(new BlockingEnd(ends)),
  terminal: () => Prompt.create(new RemoteTerminal(new BlockingEnd(ends))),
};

async function run(): Promise<DebugWorkerDone> {
  try {
    const front = await FRONT_ENDS[frontEnd]();
    const session = new DebugSession(
      await loadScheduled(file, schedule),
      front,
      seed === undefined ? {} : { seed },
    );
    if (sourceFolders !== undefined) session.setSourceFolders(sourceFolders);
    const { error } = await session.run();
    // The prompt has told it; GDB cannot.
    if (error !== undefined && frontEnd === 'gdb') return failure(error);
    return { kind: 'done', failed: error !== undefined };
  } catch (error) {
    return failure(error);
  }
}

function failure(error: unknown): DebugWorkerDone {
  return { kind: 'done', failed: true, report: reportOf(error) ?? { exitCode: 1, message: String(error) } };
}

ends.port.postMessage(await run());
ends.port.close();
