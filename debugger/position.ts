/**
 * A moment of a run, written `sequence:steps` in hexadecimal as WinDbg's time travel does. `sequence` counts the slices
 * in which threads get a processor, from 1; `steps` the instructions of that slice that have been executed. The same
 * scenario with the same seed has the same moments each time it runs.
 */
export interface Position {
  readonly sequence: number;
  readonly steps: number;
}

/** Before everything. */
export const START: Position = { sequence: 0, steps: 0 };

/** Negative when `a` is earlier. */
export function comparePositions(a: Position, b: Position): number {
  return a.sequence - b.sequence || a.steps - b.steps;
}

/** `1f:a` */
export function formatPosition({ sequence, steps }: Position): string {
  return `${sequence.toString(16).toUpperCase()}:${steps.toString(16).toUpperCase()}`;
}

export function parsePosition(text: string): Position | undefined {
  const match = /^([0-9a-f]+):([0-9a-f]+)$/i.exec(text.trim());
  return match === null
    ? undefined
    : { sequence: Number.parseInt(match[1] ?? '', 16), steps: Number.parseInt(match[2] ?? '', 16) };
}
