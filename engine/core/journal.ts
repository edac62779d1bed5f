import type { LoadedImage } from '../../loader/index.js';

/** Everything that an operation has changed, and how to take it back. */
export class Journal {
  readonly #changes: { readonly undo: () => void; readonly image: LoadedImage | undefined }[] = [];

  /** A change, how it is taken back, and the image whose bytes it changes. */
  change(perform: () => void, undo: () => void, image?: LoadedImage): void {
    perform();
    this.#changes.push({ undo, image });
  }

  /** From now on nothing of what was changed so far is taken back. */
  forget(): void {
    this.#changes.length = 0;
  }

  /**
   * Takes everything back, last one first.
   * @param kept images that keep what was stored into them: threads are in them, and go on as they have begun
   */
  rollBack(kept: readonly LoadedImage[] = []): void {
    for (let change = this.#changes.pop(); change !== undefined; change = this.#changes.pop())
      if (!kept.some((image) => image === change.image)) change.undo();
  }
}
