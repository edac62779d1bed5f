import type { PeImage } from '../../image/index.js';
import type { LoadOptions } from '../images/index.js';
import type { GuestMemory } from '../memory/index.js';

/** DISPATCHER_HEADER (wdm.h): UCHAR Type; …; LONG SignalState. */
const NOTIFICATION_OBJECT = 0;
const SYNCHRONIZATION_OBJECT = 1;
const SIGNAL_STATE = 4n;

export interface EventHeader {
  readonly memory: Pick<GuestMemory, 'readU32' | 'writeU8' | 'writeU32'>;
  readonly address: bigint;
}

/** An event that a handle leads to. */
export class EventObject {
  #signalled: boolean;
  #header: EventHeader | undefined;

  constructor(
    /** Stays signalled until it is reset; otherwise one wait takes the signal. */
    readonly manualReset: boolean,
    signalled: boolean,
  ) {
    this.#signalled = signalled;
  }

  /** The KEVENT that holds its state, once a driver may see it. */
  get header(): EventHeader | undefined {
    return this.#header;
  }

  /** From now on its state is that of the KEVENT at `address`. */
  moveTo(memory: EventHeader['memory'], address: bigint): void {
    const signalled = this.#isSignalled;
    memory.writeU8(address, this.manualReset ? NOTIFICATION_OBJECT : SYNCHRONIZATION_OBJECT);
    this.#header = { memory, address };
    this.#isSignalled = signalled;
  }

  /** KeSetEvent. */
  set(): void {
    this.#isSignalled = true;
  }

  /** KeClearEvent. */
  reset(): void {
    this.#isSignalled = false;
  }

  /** Its state, for a snapshot. */
  saveState(): unknown {
    return this.#signalled;
  }

  /** The state that {@link saveState} has given. */
  loadState(state: unknown): void {
    this.#signalled = state === true;
  }

  /** Would a wait for it end at once? */
  get signalled(): boolean {
    return this.#isSignalled;
  }

  /** Ends a wait, if the event is signalled. */
  take(): boolean {
    const signalled = this.#isSignalled;
    if (signalled && !this.manualReset) this.#isSignalled = false;
    return signalled;
  }

  get #isSignalled(): boolean {
    return this.#header === undefined
      ? this.#signalled
      : this.#header.memory.readU32(this.#header.address + SIGNAL_STATE) !== 0;
  }

  set #isSignalled(value: boolean) {
    if (this.#header === undefined) this.#signalled = value;
    else this.#header.memory.writeU32(this.#header.address + SIGNAL_STATE, value ? 1 : 0);
  }
}

/** A mutex that a handle leads to: one thread owns it, as often as it has taken it. */
export class MutexObject {
  #owner: number | undefined;
  #recursion = 0;

  /** Could the thread take it? */
  isFree(threadId: number): boolean {
    return this.#owner === undefined || this.#owner === threadId;
  }

  take(threadId: number): void {
    this.#owner = threadId;
    this.#recursion += 1;
  }

  /** False when the thread does not own it. */
  release(threadId: number): boolean {
    if (this.#owner !== threadId) return false;
    this.#recursion -= 1;
    if (this.#recursion === 0) this.#owner = undefined;
    return true;
  }

  saveState(): unknown {
    return [this.#owner, this.#recursion];
  }

  loadState(state: unknown): void {
    const [owner, recursion] = state as [number | undefined, number];
    this.#owner = owner;
    this.#recursion = recursion;
  }
}

/** A semaphore that a handle leads to. */
export class SemaphoreObject {
  constructor(
    public count: number,
    readonly maximum: number,
  ) {}

  take(): void {
    this.count -= 1;
  }

  /** False when it would have more than its maximum. */
  release(count: number): boolean {
    if (count <= 0 || this.count + count > this.maximum) return false;
    this.count += count;
    return true;
  }

  saveState(): unknown {
    return this.count;
  }

  loadState(state: unknown): void {
    this.count = state as number;
  }
}

/** A file that is open. */
export class FileObject {
  constructor(
    /** NT path. */
    readonly name: string,
    /** What it contains. */
    readonly image: PeImage,
  ) {}
}

/** An image section that a handle leads to; NtMapViewOfSection maps it. */
export class SectionObject {
  constructor(
    /** The file that is mapped. */
    readonly image: PeImage,
    /** How a view of it is loaded: its name, and whether it is a patch image. */
    readonly options: LoadOptions & { readonly name: string },
  ) {}
}
