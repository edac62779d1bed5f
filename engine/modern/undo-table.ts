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

/**
 * Undo table of one base image, indexed like its HPAT, in order of its slots (docs/fidelity.md#hpat-and-trampolines).
 */
export interface UndoTable extends Iterable<readonly [index: number, entry: UndoEntry]> {
  readonly size: number;
  get(index: number): UndoEntry | undefined;
}

export class UndoEntries implements UndoTable {
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

  *[Symbol.iterator](): IterableIterator<[number, UndoEntry]> {
    yield* [...this.#entries].sort(([a], [b]) => a - b);
  }

  get size(): number {
    return this.#entries.size;
  }
}
