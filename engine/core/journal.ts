import type { LoadedImage } from '../../loader/index.js';

/** What a change is of. */
export interface ChangeFacts {
  /** The image whose bytes it changes. */
  readonly image?: LoadedImage | undefined;
  /** It is of the way from an entry to a replacement, where threads may stand: padding, slots, their memory. */
  readonly isOnTheWay?: boolean | undefined;
}

/** Everything that an operation has changed, and how to take it back. */
export class Journal {
  readonly #changes: { readonly undo: () => void; readonly facts: ChangeFacts }[] = [];

  /** A change, how it is taken back, and what it is of. */
  change(perform: () => void, undo: () => void, facts: ChangeFacts = {}): void {
    perform();
    this.#changes.push({ undo, facts });
  }

  /** From now on nothing of what was changed so far is taken back. */
  forget(): void {
    this.#changes.length = 0;
  }

  /**
   * Takes everything back, last one first.
   * @param isKept changes that stay: threads are where they lead, and go on as they have begun
   */
  rollBack(isKept: (facts: ChangeFacts) => boolean = () => false): void {
    for (let change = this.#changes.pop(); change !== undefined; change = this.#changes.pop())
      if (!isKept(change.facts)) change.undo();
  }
}
