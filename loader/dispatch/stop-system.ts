import type { BugCheck, EventLog } from '../common/index.js';
import type { Thread } from '../threads/index.js';

/** KeBugCheckEx: the system stops in this thread. Nobody handles it. */
export function stopSystem(
  { events }: { readonly events: EventLog },
  thread: Thread,
  bugCheck: BugCheck,
  text: string,
): void {
  thread.wait = undefined;
  thread.state = 'crashed';
  thread.crash = { text, bugCheck };
  events.emit({ kind: 'threadCrashed', text: `thread ${thread.id} (${thread.name}): ${text}` });
  events.emit({ kind: 'bugCheck', text: bugCheck.message });
}
