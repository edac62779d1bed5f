import type { BugCheck, BugCheckState, EventLog } from '../common/index.js';
import { changeThread, type Thread } from '../threads/index.js';

/** KeBugCheckEx: the system stops in this thread. Nobody handles it. */
export function stopSystem(
  { events, bugChecks }: { readonly events: EventLog; readonly bugChecks: BugCheckState },
  thread: Thread,
  bugCheck: BugCheck,
  text: string,
): void {
  changeThread(thread, { wait: undefined, state: 'crashed', crash: { text, bugCheck } });
  events.emit({ kind: 'threadCrashed', text: `thread ${thread.id} (${thread.name}): ${text}` });
  bugChecks.stop(bugCheck);
}
