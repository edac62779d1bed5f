import type { BugCheck, BugCheckState, EventLog } from '../common/index.js';
import type { Thread } from '../threads/index.js';

/** KeBugCheckEx: the system stops in this thread. Nobody handles it. */
export function stopSystem(
  { events, bugChecks }: { readonly events: EventLog; readonly bugChecks: BugCheckState },
  thread: Thread,
  bugCheck: BugCheck,
  text: string,
): void {
  thread.wait = undefined;
  thread.state = 'crashed';
  thread.crash = { text, bugCheck };
  events.emit({ kind: 'threadCrashed', text: `thread ${thread.id} (${thread.name}): ${text}` });
  bugChecks.stop(bugCheck);
}
