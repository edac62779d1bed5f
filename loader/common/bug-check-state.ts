import type { StatePart } from '../../cpu/index.js';
import type { BugCheck } from './bug-check.js';
import { KernelError } from './error.js';
import type { EventLog } from './events.js';

/** Whether the system has stopped, and with what: KiBugCheckData. Nothing runs in it then, until an older snapshot is restored. */
export class BugCheckState implements StatePart {
  readonly name = 'bug check';
  #current: BugCheck | undefined;

  constructor(private readonly events: EventLog) {}

  /** What the system has stopped with. */
  get current(): BugCheck | undefined {
    return this.#current;
  }

  /** KeBugCheckEx: from now on nothing runs. The first one counts. */
  stop(bugCheck: BugCheck): void {
    this.#current ??= bugCheck;
    this.events.emit({ kind: 'bugCheck', text: bugCheck.message });
  }

  /**
   * @param what somebody wants the system to do: `call demo!f`
   * @throws KernelError `systemStopped` when nothing runs any more
   */
  assertRunning(what: string): void {
    const bugCheck = this.#current;
    if (bugCheck === undefined) return;
    throw new KernelError({
      rule: 'systemStopped',
      status: 'STATUS_SHUTDOWN_IN_PROGRESS',
      place: what,
      message: `cannot ${what}: the system has stopped with ${bugCheck.message}`,
      hint: 'boot another machine, or restore a snapshot of this one from before',
      cause: bugCheck,
    });
  }

  /** For a snapshot. */
  save(): BugCheck | undefined {
    return this.#current;
  }

  /** Puts back what `save` gave. */
  load(state: unknown): void {
    this.#current = state as BugCheck | undefined;
  }

  /** All of a saved state that a program can notice. */
  describe(state: unknown): string {
    return (state as BugCheck | undefined)?.message ?? '';
  }
}
