import { workerData } from 'node:worker_threads';
import {
  BlockingEnd,
  DapFront,
  DebugSession,
  type FrontEnd,
  GdbServer,
  LiveMachine,
  Prompt,
  RemoteTerminal,
} from '../debugger/index.js';
import { showResult } from './call-result.js';
import type { DebugWorkerData, DebugWorkerDone, LiveTarget } from './debug-thread.js';
import { reportOf, UsageError } from './errors.js';
import { liveCall } from './live-call.js';
import { loadScheduled } from './schedule.js';

/** The thread that a scenario runs in under the debugger; its front end is in the main thread. */
const { file, live, seed, schedule, sourceFolders, frontEnd, ends }: DebugWorkerData = workerData;

const FRONT_ENDS: Readonly<
  Record<DebugWorkerData['frontEnd'], (machine: LiveMachine | undefined) => Promise<FrontEnd>>
> = {
  dap: (machine) => DapFront.create(new BlockingEnd(ends), machine),
  gdb: () => GdbServer.create(new BlockingEnd(ends)),
  terminal: () => Prompt.create(new RemoteTerminal(new BlockingEnd(ends))),
};

async function run(): Promise<DebugWorkerDone> {
  try {
    const machine = live === undefined ? undefined : liveMachine(live);
    const front = await FRONT_ENDS[frontEnd](machine);
    const scenario = machine?.scenario ?? (await loadScheduled(fileOf(), schedule));
    const session = new DebugSession(scenario, front, {
      startsAtCall: machine !== undefined,
      ...(seed === undefined ? {} : { seed }),
    });
    machine?.attach(session);
    if (sourceFolders !== undefined) session.setSourceFolders(sourceFolders);
    const { error } = await session.run();
    // The prompt has told it; GDB cannot.
    if (error !== undefined && frontEnd === 'gdb') return failure(error);
    return { kind: 'done', failed: error !== undefined };
  } catch (error) {
    return failure(error);
  }
}

function fileOf(): string {
  if (file === undefined) throw new UsageError('name a scenario');
  return file;
}

function liveMachine(target: LiveTarget): LiveMachine {
  return new LiveMachine({
    ...target,
    read: liveCall,
    show: (result, float) => showResult({ result, float }, 'auto'),
  });
}

function failure(error: unknown): DebugWorkerDone {
  return { kind: 'done', failed: true, report: reportOf(error) ?? { exitCode: 1, message: String(error) } };
}

ends.port.postMessage(await run());
ends.port.close();
