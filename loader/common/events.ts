/** Of an event that says nothing but its text. */
export type NoFacts = Record<never, never>;

/**
 * What an event of each kind says besides its text. The kinds of a room above are declared there, by merging with this
 * interface: the engine's in engine/core/steps.ts.
 */
export interface LabEventFacts {
  /** A scenario says something. */
  narration: NoFacts;
  /** The first event. What is off is told here only; what is on has an event of its own, too. */
  booted: {
    readonly vbs: boolean;
    readonly retpoline: boolean;
    /** Bytes behind each image. */
    readonly hotPatchReserveSize: number;
    readonly hotPatchingEnabled: boolean;
  };
  secureKernelStarted: NoFacts;
  retpolineEnabled: NoFacts;
  hpatLayout: NoFacts;
  hotPatchProcessCreated: NoFacts;
  sessionCreated: NoFacts;
  processCreated: NoFacts;
  processEnded: NoFacts;
  imageLoaded: NoFacts;
  imageUnloaded: NoFacts;
  /** An image imports functions that nothing exports: calling one of them stops the call. */
  importsMissing: NoFacts;
  threadCrashed: NoFacts;
  bugCheck: NoFacts;
  debugPrint: NoFacts;
  deviceCreated: NoFacts;
  deviceDeleted: NoFacts;
  /** A driver is unloaded and has left a device. */
  deviceLeft: NoFacts;
  symbolicLinkCreated: NoFacts;
  /** A driver has answered a request without completing it. */
  irpNotCompleted: NoFacts;
  /** A line that a program has written to its console. */
  consoleOutput: { readonly stream: 'output' | 'error' };
}

export type LabEventKind = keyof LabEventFacts;

/** Kinds that say nothing but their text. */
export type PlainEventKind = {
  [K in LabEventKind]: NoFacts extends LabEventFacts[K] ? K : never;
}[LabEventKind];

/** An event of one kind, or of some. */
export type LabEventOf<K extends LabEventKind> = {
  [Kind in K]: { readonly kind: Kind; readonly text: string } & LabEventFacts[Kind];
}[K];

/**
 * What happened, once: a union told apart by `kind`. `text` is its line in the transcript: stable, without anything that
 * differs between two runs.
 */
export type LabEvent =
  | { readonly kind: PlainEventKind; readonly text: string }
  | LabEventOf<Exclude<LabEventKind, PlainEventKind>>;

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

  /** An event that says nothing but its text. */
  tell(kind: PlainEventKind, text: string): void {
    this.emit({ kind, text });
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
