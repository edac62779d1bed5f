/** What happened, once. `text` is its line in the transcript: stable, without anything that differs between two runs. */
export interface LabEvent {
  readonly kind: string;
  readonly text: string;
}

/** The transcript of a machine: every decision of the kernel and every step of the engine, in order. */
export class EventLog {
  readonly #events: LabEvent[] = [];
  readonly #listeners = new Set<(event: LabEvent) => void>();

  get all(): readonly LabEvent[] {
    return this.#events;
  }

  emit(event: LabEvent): void {
    this.#events.push(event);
    for (const listener of this.#listeners) listener(event);
  }

  /** Calls `listener` for each event from now on, until disposed. */
  on(listener: (event: LabEvent) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** The transcript as text, one event a line. */
  toString(): string {
    return this.#events.map((event) => event.text).join('\n');
  }
}
