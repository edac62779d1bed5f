import type { GuestMemory } from '../memory/index.js';
import type { Process } from '../processes/index.js';
import type { Thread } from '../threads/index.js';

/** Guest code that asks for I/O. */
export interface IoCaller {
  readonly thread: Thread;
  /** On whose behalf it runs. */
  readonly process: Process;
  /** Guest memory as the calling code may use it. */
  readonly memory: GuestMemory;
  /** Bytes of a pointer of the calling code. */
  readonly pointerSize: 4 | 8;
}
