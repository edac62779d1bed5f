/**
 * State of the machine that lies outside of its memory, and that programs can notice: open files, handles, a disk. It is
 * saved, restored and hashed with every snapshot.
 */
export interface StatePart {
  /** Stable, and different from that of every other part of the machine. */
  readonly name: string;
  /** What later changes leave alone. */
  save(): unknown;
  load(state: unknown): void;
  /** All of a saved state that a program can notice, as text: equal for equal states. */
  describe(state: unknown): string;
}
