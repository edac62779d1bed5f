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
  /** The KEVENT that holds its state, once a driver may see it. */
  header: EventHeader | undefined;

  constructor(
    /** Stays signalled until it is reset; otherwise one wait takes the signal. */
    readonly manualReset: boolean,
    signalled: boolean,
  ) {
    this.#signalled = signalled;
  }

  /** From now on its state is that of the KEVENT at `address`. */
  moveTo(memory: EventHeader['memory'], address: bigint): void {
    const signalled = this.#isSignalled;
    memory.writeU8(address, this.manualReset ? NOTIFICATION_OBJECT : SYNCHRONIZATION_OBJECT);
    this.header = { memory, address };
    this.#isSignalled = signalled;
  }

  set(): void {
    this.#isSignalled = true;
  }

  reset(): void {
    this.#isSignalled = false;
  }

  /** Ends a wait, if the event is signalled. */
  take(): boolean {
    const signalled = this.#isSignalled;
    if (signalled && !this.manualReset) this.#isSignalled = false;
    return signalled;
  }

  get #isSignalled(): boolean {
    return this.header === undefined
      ? this.#signalled
      : this.header.memory.readU32(this.header.address + SIGNAL_STATE) !== 0;
  }

  set #isSignalled(value: boolean) {
    if (this.header === undefined) this.#signalled = value;
    else this.header.memory.writeU32(this.header.address + SIGNAL_STATE, value ? 1 : 0);
  }
}

/** A file that is open. */
export class FileObject {
  constructor(
    readonly name: string,
    readonly image: PeImage,
  ) {}
}

/** An image section that a handle leads to; NtMapViewOfSection maps it. */
export class SectionObject {
  constructor(
    readonly image: PeImage,
    /** How a view of it is loaded: its name, and whether it is a patch image. */
    readonly options: LoadOptions & { readonly name: string },
  ) {}
}
