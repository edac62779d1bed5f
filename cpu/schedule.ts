import { CpuError } from './error.js';
import type { Exit } from './exit.js';
import type { Processor } from './processor.js';

/** `processor` runs for at most so many instructions. */
export interface Slice {
  readonly processor: number;
  readonly instructions: number;
}

export interface TimeSliceOptions {
  /** Indices of the processors that take turns. */
  readonly processors: readonly number[];
  readonly seed: number;
  /** In instructions. Default 1 and 7. */
  readonly shortest?: number;
  readonly longest?: number;
}

/** Endless slices of random processors and lengths; the same for the same options. */
export function* timeSlices(options: TimeSliceOptions): Generator<Slice, never> {
  const { processors, shortest = 1, longest = 7 } = options;
  if (processors.length === 0 || shortest < 1 || longest < shortest) {
    throw new CpuError(
      'timeSlices',
      `no time slices of ${shortest} to ${longest} on ${processors.length} processors`,
      {
        status: 'STATUS_INVALID_PARAMETER',
      },
    );
  }
  const random = randomNumbers(options.seed);
  for (;;) {
    const processor = processors[random() % processors.length] ?? 0;
    yield { processor, instructions: shortest + (random() % (longest - shortest + 1)) };
  }
}

/** `continue`: the processor stays in turn. `park`: it has no further turns. `stop`: the schedule ends. */
export type AfterExit = 'continue' | 'park' | 'stop';

export interface ScheduleOutcome {
  /** Instructions completed by all processors. */
  readonly instructions: number;
  /** By processor index: the exit that parked it. */
  readonly parked: ReadonlyMap<number, Exit>;
}

/**
 * Runs slices until they end, all of `processors` are parked, or `onExit` says stop. Slices of parked processors are
 * skipped. `onExit` gets every exit other than the end of a slice; without it such an exit parks the processor.
 */
export function runSchedule(
  processors: readonly Processor[],
  slices: Iterable<Slice>,
  onExit: (processor: Processor, exit: Exit) => AfterExit = () => 'park',
): ScheduleOutcome {
  const parked = new Map<number, Exit>();
  let instructions = 0;
  for (const slice of slices) {
    const processor = processors.find(({ index }) => index === slice.processor);
    if (processor === undefined) {
      throw new CpuError(
        'noSuchProcessor',
        `the schedule names processor ${slice.processor}, which does not take part`,
        {
          status: 'STATUS_INVALID_PARAMETER',
        },
      );
    }
    if (parked.has(slice.processor)) continue;
    const exit = processor.run({ instructions: slice.instructions });
    instructions += exit.instructions;
    if (exit.reason === 'instructionLimit') continue;
    const next = onExit(processor, exit);
    if (next === 'continue') continue;
    parked.set(processor.index, exit);
    if (next === 'stop' || parked.size === processors.length) break;
  }
  return { instructions, parked };
}

/** Unsigned 32-bit numbers from a seed (the mulberry32 generator, public domain). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}
