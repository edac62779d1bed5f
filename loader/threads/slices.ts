import type { Exit, Processor, RunOptions } from '../../cpu/index.js';
import { noteRun, noteStop } from './last-run.js';
import type { Thread } from './thread.js';

/**
 * Runs a slice of a thread in place of {@link Processor.run}, with the same outcome: a debugger, which may stop in the
 * middle of it. The slices stay the same, so that the interleaving does, too.
 */
export interface SliceRunner {
  /** @param run lets the thread execute: the runner that came before this one, at last the processor itself */
  runSlice(
    thread: Thread,
    processor: Processor,
    options: RunOptions,
    run: (options: RunOptions) => Exit,
  ): Exit;
}

/** Watches slices; must not change anything. */
export interface SliceObserver {
  sliceBegins?(thread: Thread, processor: Processor): void;
  /** @param exit as the scheduler gets it, before anything is done about it */
  sliceEnds?(thread: Thread, processor: Processor, exit: Exit): void;
}

/** Who runs the slices of a machine's threads, and who watches them. */
export class Slices {
  readonly #runners: SliceRunner[] = [];
  readonly #observers: SliceObserver[] = [];

  /** From now on slices are run by `runner`, which may go on to those that came before, until it is disposed of. */
  use(runner: SliceRunner): Disposable {
    return enter(this.#runners, runner);
  }

  /** Whether anybody runs or watches single slices. */
  get isWatched(): boolean {
    return this.#runners.length > 0 || this.#observers.length > 0;
  }

  watch(observer: SliceObserver): Disposable {
    return enter(this.#observers, observer);
  }

  /** As {@link Processor.run}. */
  run(thread: Thread, processor: Processor, options: RunOptions): Exit {
    const observers = [...this.#observers];
    for (const observer of observers) observer.sliceBegins?.(thread, processor);
    const exit = this.#runners.reduce<(options: RunOptions) => Exit>(
      (run, runner) => (given) => runner.runSlice(thread, processor, given, run),
      (given) => runNoted(thread, processor, given),
    )(options);
    for (const observer of observers) observer.sliceEnds?.(thread, processor, exit);
    return exit;
  }
}

function runNoted(thread: Thread, processor: Processor, options: RunOptions): Exit {
  noteRun(thread);
  try {
    return processor.run(options);
  } finally {
    noteStop();
  }
}

function enter<T>(list: T[], one: T): Disposable {
  list.push(one);
  let isIn = true;
  return {
    [Symbol.dispose]: () => {
      if (isIn) list.splice(list.lastIndexOf(one), 1);
      isIn = false;
    },
  };
}
