import type { Counting } from './counting.js';
import { Lane, type LaneEvents } from './lane.js';
import type { Processor } from './processor.js';
import type { ProcessorOwner } from './processor-owner.js';
import type { Translator } from './translator.js';

/** The lanes of a processor, which are opened as they are needed; one of them has the registers. */
export class Lanes implements Disposable {
  readonly #processor: Processor;
  readonly #owner: ProcessorOwner;
  readonly #events: (translator: Translator) => LaneEvents;
  readonly #lanes: Partial<Record<Counting, Lane>> = {};
  #current: Lane;

  constructor(processor: Processor, owner: ProcessorOwner, events: (translator: Translator) => LaneEvents) {
    this.#processor = processor;
    this.#owner = owner;
    this.#events = events;
    this.#current = this.#open(owner.counting);
  }

  /** The one whose engine has the registers. */
  get current(): Lane {
    return this.#current;
  }

  /** Whether counting by blocks is not possible for what this processor executes. */
  get isAmbiguous(): boolean {
    return this.#lanes.blocks?.engine.blocks?.isAmbiguous === true;
  }

  /** Brings the registers to the engine that counts in this way. */
  use(counting: Counting): void {
    if (this.#current.counting === counting) return;
    const lane = this.#lanes[counting] ?? this.#open(counting);
    lane.engine.restoreContext(this.#current.engine.saveContext());
    this.#current = lane;
  }

  #open(counting: Counting): Lane {
    const lane = new Lane(this.#processor, this.#owner, counting, this.#events);
    this.#lanes[counting] = lane;
    return lane;
  }

  [Symbol.dispose](): void {
    for (const lane of Object.values(this.#lanes)) lane[Symbol.dispose]();
  }
}
