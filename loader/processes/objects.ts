import type { PeImage } from '../../image/index.js';
import type { LoadOptions } from '../images/index.js';

/** An event that a handle leads to. */
export class EventObject {
  #signalled: boolean;

  constructor(
    /** Stays signalled until it is reset; otherwise one wait takes the signal. */
    readonly manualReset: boolean,
    signalled: boolean,
  ) {
    this.#signalled = signalled;
  }

  set(): void {
    this.#signalled = true;
  }

  reset(): void {
    this.#signalled = false;
  }

  /** Ends a wait, if the event is signalled. */
  take(): boolean {
    const signalled = this.#signalled;
    if (!this.manualReset) this.#signalled = false;
    return signalled;
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
