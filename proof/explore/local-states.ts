import type { FetchView } from './executor.js';
import type { GuestState } from './guest-states.js';

/**
 * `idle`: about to begin a call. `during`: the call began before the operation was complete. `after`: it began after.
 * `finished`: all calls are made.
 */
export type CallPhase = 'idle' | 'during' | 'after' | 'finished';

/** Everything about one processor that decides what it can do next. */
export interface LocalState {
  readonly id: number;
  readonly guest: GuestState;
  readonly phase: CallPhase;
  /** Weak instruction fetch: for each changed page the number of the contents that it goes on fetching; 0: none yet. */
  readonly view: FetchView;
  /** Calls that are still to be made, the present one included; -1 without a limit. */
  readonly calls: number;
}

/** As many as fit into half a word of a state's key. */
const MOST = 0xffff;

/** There are more states of one processor than the explorer can number. */
export class TooManyLocalStates extends Error {
  override readonly name = 'TooManyLocalStates';
}

/** Every different local state that was met, by number. */
export class LocalStates {
  readonly #states: LocalState[] = [];
  readonly #ids = new Map<string, number>();

  get count(): number {
    return this.#states.length;
  }

  state(id: number): LocalState {
    const state = this.#states[id];
    if (state === undefined) throw new RangeError(`there is no local state ${id}`);
    return state;
  }

  idOf(guest: GuestState, phase: CallPhase, view: FetchView, calls: number): number {
    const key = `${guest.role}.${guest.id} ${phase} ${calls} ${view.join()}`;
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = this.#states.length;
    if (id > MOST) throw new TooManyLocalStates(`more than ${MOST} states of one processor`);
    this.#ids.set(key, id);
    this.#states.push({ id, guest, phase, view, calls });
    return id;
  }
}
