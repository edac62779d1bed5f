import type { PhysicalMemory } from './physical-memory.js';

export type InstructionFetchMode = 'coherent' | 'weak';

/** What one processor's engine and instruction cache hold of physical memory. */
export class FetchUnit {
  /** Frames of which the engine may hold translated code. */
  readonly translated = new Set<number>();
  /** Frames that the engine may write without asking, until its translations are flushed. */
  readonly writable = new Set<number>();
  /** Weak mode: frames fetched from since the processor was last serialised. */
  readonly fetched = new Set<number>();
  /** Weak mode: frames whose old bytes the processor still fetches, with the private frame that holds these. */
  readonly views = new Map<number, number>();
  /** Frames whose translated code must be forgotten before the engine runs again. */
  readonly forget = new Set<number>();
  /** Whether the translations must be flushed before the engine runs again. */
  flush = false;
  /** Counts the flushes: as long as it stays, so do the translations that the engine uses. */
  epoch = 0;
  /** Weak mode: an exception was taken, so that the next run begins with the return from it, which serialises. */
  returnsFromException = false;
  /** Of the processor's other engine, which has translations of its own: it forgets what this one does. */
  companion: FetchUnit | undefined;
  /** Arm: frames with the 64-byte lines that IC IVAU has invalidated since the last ISB, one bit each. */
  readonly invalidated = new Map<number, bigint>();

  forgetFrame(frame: number): void {
    this.companion?.forgetFrame(frame);
    if (!this.translated.delete(frame)) return;
    this.forget.add(frame);
    this.flush = true;
  }

  flushTranslations(): void {
    this.companion?.flushTranslations();
    this.flush = true;
  }
}

/** The part of a fetch unit that programs can notice. */
export interface FetchState {
  readonly fetched: ReadonlySet<number>;
  readonly views: ReadonlyMap<number, number>;
  readonly invalidated: ReadonlyMap<number, bigint>;
  readonly returnsFromException: boolean;
}

function replace<T>(set: Set<T>, contents: ReadonlySet<T>): void {
  set.clear();
  for (const element of contents) set.add(element);
}

/** `retry`: the engine must be brought up to date before the access can be done. */
export type FetchOutcome = number | 'retry';

/**
 * Keeps instruction fetch and data apart. Coherent: whoever changes a frame makes every other engine forget the code it
 * translated from it. Weak: the others go on with a private copy, taken before the first change, until they are serialised.
 */
export class InstructionFetch {
  readonly mode: InstructionFetchMode;
  readonly units: readonly FetchUnit[];
  readonly #memory: () => PhysicalMemory;
  /** x86 processors see their own stores; Arm processors need IC IVAU and ISB even for those. */
  readonly #seesOwnStores: boolean;

  constructor(
    mode: InstructionFetchMode,
    units: readonly FetchUnit[],
    seesOwnStores: boolean,
    memory: () => PhysicalMemory,
  ) {
    this.mode = mode;
    this.units = units;
    this.#memory = memory;
    this.#seesOwnStores = seesOwnStores;
  }

  /** The frame from which `unit` fetches what `frame` should hold. */
  beforeFetch(unit: FetchUnit, frame: number): FetchOutcome {
    const view = unit.views.get(frame);
    if (view === undefined) {
      for (const other of this.units) {
        if (other !== unit && other.writable.has(frame)) other.flushTranslations();
      }
      if (this.mode === 'weak') {
        if (!this.#seesOwnStores && unit.writable.has(frame)) return this.#retry(unit);
        unit.fetched.add(frame);
      }
    }
    const source = view ?? frame;
    unit.translated.add(source);
    return source;
  }

  /** Before the guest on `unit` may write to `frame`. */
  beforeGuestWrite(unit: FetchUnit, frame: number): FetchOutcome {
    for (const other of this.units) if (other !== unit) this.#outdate(other, frame);
    if (this.#seesOwnStores) {
      if (unit.views.has(frame)) {
        this.#dropView(unit, frame);
        return this.#retry(unit);
      }
    } else if (unit.fetched.has(frame) && !unit.views.has(frame)) {
      this.#outdate(unit, frame);
      return this.#retry(unit);
    }
    unit.writable.add(frame);
    return frame;
  }

  beforeHostWrite(frame: number): void {
    for (const unit of this.units) this.#outdate(unit, frame);
  }

  /** The frame's contents mean nothing any more. */
  frameFreed(frame: number): void {
    for (const unit of this.units) {
      this.#dropView(unit, frame);
      unit.fetched.delete(frame);
      unit.forgetFrame(frame);
    }
  }

  /** What the instruction set says of an interrupt or exception return. */
  returnFromException(unit: FetchUnit): void {
    unit.returnsFromException = false;
    if (this.#seesOwnStores) this.serialise(unit);
    else this.synchroniseContext(unit);
  }

  save(unit: FetchUnit): FetchState {
    return {
      fetched: new Set(unit.fetched),
      views: new Map(unit.views),
      invalidated: new Map(unit.invalidated),
      returnsFromException: unit.returnsFromException,
    };
  }

  load(unit: FetchUnit, state: FetchState): void {
    replace(unit.fetched, state.fetched);
    unit.views.clear();
    for (const [frame, view] of state.views) unit.views.set(frame, view);
    unit.invalidated.clear();
    for (const [frame, lines] of state.invalidated) unit.invalidated.set(frame, lines);
    unit.returnsFromException = state.returnsFromException;
    unit.flushTranslations();
  }

  /** After it the processor fetches the current bytes everywhere. */
  serialise(unit: FetchUnit): void {
    for (const frame of [...unit.views.keys()]) this.#dropView(unit, frame);
    if (unit.fetched.size > 0) {
      unit.fetched.clear();
      unit.flushTranslations();
    }
  }

  /** Arm IC IVAU, broadcast to all processors: the line at `offset` of `frame` leaves their caches at their next ISB. */
  invalidateLine(frame: number, offset: number): void {
    const line = 1n << BigInt(Math.floor(offset / LINE_SIZE));
    for (const unit of this.units) {
      if (unit.views.has(frame)) unit.invalidated.set(frame, (unit.invalidated.get(frame) ?? 0n) | line);
    }
  }

  /** Arm IC IALLU(IS). */
  invalidateAll(units: readonly FetchUnit[]): void {
    for (const unit of units) {
      for (const frame of unit.views.keys()) unit.invalidated.set(frame, ALL_LINES);
    }
  }

  /** Arm ISB: lines invalidated before are fetched anew. */
  synchroniseContext(unit: FetchUnit): void {
    const memory = this.#memory();
    for (const [frame, lines] of unit.invalidated) {
      const view = unit.views.get(frame);
      if (view === undefined) continue;
      unit.forgetFrame(view);
      for (let line = 0; line < 64; line++) {
        if (((lines >> BigInt(line)) & 1n) === 0n) continue;
        const start = line * LINE_SIZE;
        memory.copy(frame, view, start, start + LINE_SIZE);
      }
      const current = memory.peek(frame);
      if (memory.peek(view).every((byte, index) => byte === current[index])) {
        this.#dropView(unit, frame);
        unit.fetched.delete(frame);
      }
    }
    unit.invalidated.clear();
  }

  #outdate(unit: FetchUnit, frame: number): void {
    if (unit.fetched.has(frame) && !unit.views.has(frame)) {
      const memory = this.#memory();
      const view = memory.allocate();
      memory.copy(frame, view);
      unit.views.set(frame, view);
    }
    unit.forgetFrame(frame);
  }

  #dropView(unit: FetchUnit, frame: number): void {
    const view = unit.views.get(frame);
    if (view === undefined) return;
    unit.views.delete(frame);
    unit.invalidated.delete(frame);
    this.#memory().release(view);
  }

  #retry(unit: FetchUnit): 'retry' {
    unit.flushTranslations();
    return 'retry';
  }
}

const LINE_SIZE = 64;
const ALL_LINES = (1n << 64n) - 1n;
