import type { LoadedImage } from '../loader/index.js';
import type { Patch } from './patch.js';
import { UndoTable } from './undo-table.js';

/** What the engine knows of one loaded image, base or patch: its HPAT's use, and the patch that is in force. */
export class ImageRecord {
  #usedSlots = 0;
  readonly undo = new UndoTable();
  /** The newest patch that is applied to this image. */
  activePatch: Patch | undefined;

  /** Slots of the HPAT given out so far; a slot is never used for another function. */
  get usedSlots(): number {
    return this.#usedSlots;
  }

  useSlot(index: number): void {
    this.#usedSlots = index + 1;
  }

  /** Only for the slot that was used last, in a transaction that is rolled back. */
  giveBackSlot(index: number): void {
    this.#usedSlots = index;
  }

  constructor(readonly image: LoadedImage) {}

  /** Sequence number of the patch in force; 0 when there is none. */
  get sequenceNumber(): number {
    return this.activePatch?.sequenceNumber ?? 0;
  }
}
