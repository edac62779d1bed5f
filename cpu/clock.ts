import type { Processor } from './processor.js';

/** What changes of a machine while it runs: its processors', the scheduler's and the snapshots' business. */
export interface MachineClock {
  /** Lab time: instructions that all processors have executed, and what was slept through. */
  time: number;
  /** The processor inside {@link Processor.run} now. */
  running: Processor | undefined;
}

/** Puts a machine's lab time elsewhere: for who lets time pass in which nothing is executed, or executes it again. */
export function setTime({ clock }: { readonly clock: MachineClock }, time: number): void {
  clock.time = time;
}
