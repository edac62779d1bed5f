/** What one entry of the undo table keeps: enough to bring the function back byte for byte. */
export interface UndoEntry {
  /** RVA of the function in the base image. */
  readonly rva: number;
  /** The bytes that the entry's store replaced. */
  readonly entryBytes: Uint8Array;
  /**
   * The bytes that the jump in the padding replaced. Windows leaves that jump in place; this project restores it too
   * when no thread can be in it, so that a reverted image is the original one in every byte.
   */
  readonly paddingBytes: Uint8Array;
}

/** Undo table of one base image, indexed like its HPAT (docs/fidelity.md#hpat-and-trampolines). */
export class UndoTable {
  readonly #entries = new Map<number, UndoEntry>();

  get(index: number): UndoEntry | undefined {
    return this.#entries.get(index);
  }

  set(index: number, entry: UndoEntry): void {
    this.#entries.set(index, entry);
  }

  /** Zeroes the entry's RVA. */
  clear(index: number): void {
    this.#entries.delete(index);
  }

  /** In order of their slots. */
  *[Symbol.iterator](): IterableIterator<[number, UndoEntry]> {
    yield* [...this.#entries].sort(([a], [b]) => a - b);
  }

  get size(): number {
    return this.#entries.size;
  }
}
