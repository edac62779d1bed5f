import { assertArgument, EVENT, FUNCTION } from './arguments.js';

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
  /** VTL1 runs the Secure Kernel. */
  secureKernelStarted: NoFacts;
  /** Indirect branches of kernel images are replaced by retpolines. */
  retpolineEnabled: NoFacts;
  /** The HPAT is laid out as pages of pointers. */
  hpatLayout: NoFacts;
  /** The minimal process that attaches to sessions for hotpatches is there. */
  hotPatchProcessCreated: NoFacts;
  /** A session has its address space. */
  sessionCreated: NoFacts;
  /** A process has its address space, and its EXE if there is one. */
  processCreated: NoFacts;
  /** A process is gone, with its exit status. */
  processEnded: NoFacts;
  /** An image is mapped, bound and listed. */
  imageLoaded: NoFacts;
  /** An image is unmapped. */
  imageUnloaded: NoFacts;
  /** An image imports functions that nothing exports: calling one of them stops the call. */
  importsMissing: NoFacts;
  /** A thread has met an exception that nothing handles. */
  threadCrashed: NoFacts;
  /** The system stops. */
  bugCheck: NoFacts;
  /** Code has printed a line by DbgPrint and its like. */
  debugPrint: NoFacts;
  /** A driver has created a device object. */
  deviceCreated: NoFacts;
  /** A driver has deleted a device object. */
  deviceDeleted: NoFacts;
  /** A driver is unloaded and has left a device. */
  deviceLeft: NoFacts;
  /** A name leads to a device. */
  symbolicLinkCreated: NoFacts;
  /** A driver has answered a request without completing it. */
  irpNotCompleted: NoFacts;
  /** A line that a program has written to its console. */
  consoleOutput: { readonly stream: 'output' | 'error' };
}

/** The name of every kind of event. */
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

  /** Everything that has been told, oldest first. */
  get all(): readonly LabEvent[] {
    return this.#events;
  }

  /** Adds an event and tells the listeners. */
  emit(event: LabEvent): void {
    if (typeof event?.text !== 'string' || typeof event.kind !== 'string')
      assertArgument(EVENT, event, 'emit(event)');
    this.#events.push(event);
    for (const listener of this.#listeners) listener(event);
  }

  /** An event that says nothing but its text. */
  tell(kind: PlainEventKind, text: string): void {
    this.emit({ kind, text });
  }

  /** Calls `listener` for each event from now on, until disposed. */
  on(listener: (event: LabEvent) => void): Disposable {
    assertArgument(FUNCTION, listener, 'on(listener)');
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** The transcript as text, one event a line. */
  toString(): string {
    return this.#events.map((event) => event.text).join('\n');
  }
}
