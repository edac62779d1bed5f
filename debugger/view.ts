import type { Disassembler } from '../cpu/index.js';
import type { Thread } from '../loader/index.js';
import type { DebugRun } from './run.js';
import type { DebugSession } from './session.js';
import type { Stop } from './stop.js';
import { ThreadView } from './thread-view.js';

/** The machine at a stop, as one of its threads sees it. */
export class View extends ThreadView {
  constructor(
    readonly session: DebugSession,
    readonly stop: Stop,
    thread: Thread,
    readonly disassembler: Disassembler,
  ) {
    super(session.current.labOf(thread), thread);
  }

  get run(): DebugRun {
    return this.session.current;
  }
}
