import { Breakpoints } from './breakpoints.js';
import { CpuError } from './error.js';
import type { ExitWithoutCount } from './exceptions.js';
import type { Exit } from './exit.js';
import { type Observation, ObserverSet } from './observers.js';
import { type Outcome, outcomeOf, type Stop } from './outcome.js';
import type { Processor } from './processor.js';
import type { ProcessorOwner } from './processor-owner.js';
import { type AppliedEffect, FetchEffectHooks } from './serialising.js';
import { Translator } from './translator.js';
import type { EngineEvents } from './unicorn/callbacks.js';
import { Engine, NO_LIMIT } from './unicorn/engine.js';

export interface RunOptions {
  /** Stop after so many. Default: no limit. */
  readonly instructions?: number;
  /** Stop before executing there; but not at the very first instruction of this run. */
  readonly breakpoints?: Iterable<bigint>;
}

/**
 * Runs a processor's engine in segments: whatever needs the engine to stand still (filling a demand-zero page, forgetting
 * translated code, a serialising instruction) is done between two of them, and the instruction restarts.
 */
export class Runner {
  readonly engine: Engine;
  readonly #processor: Processor;
  readonly #owner: ProcessorOwner;
  readonly #translator: Translator;
  readonly #breakpoints: Breakpoints;
  readonly #observers: ObserverSet;
  readonly #fetchEffects: FetchEffectHooks | undefined;
  #stop: Stop | undefined;
  /** Instructions begun in the last segment. */
  #begun = 0;
  /** Where a segment ended because the instruction there has an effect on fetching. */
  #effectAt: bigint | undefined;
  /** The same while that instruction is being executed. */
  #executingEffect: bigint | undefined;

  constructor(processor: Processor, owner: ProcessorOwner) {
    const { architecture, memory, instructionFetch } = owner;
    this.#processor = processor;
    this.#owner = owner;
    this.#translator = new Translator(processor, owner);
    const events: EngineEvents = {
      translate: (page, access) => this.#translator.translate(page, access),
      retry: (access, resolve) => this.#translator.retry(access, resolve),
      interrupt: (vector) => {
        this.#stop = { kind: 'interrupt', vector };
      },
      systemCall: (instruction) => {
        this.#stop = { kind: 'systemCall', instruction };
      },
      code: (address, size, tag) => this.#code(address, size, tag),
      block: (address, size) => this.#observers.block(address, size),
      memory: (write, physical, size, value) => this.#observers.memory(write, physical, size, value),
    };
    const { engine, registerFile, registers } = architecture;
    this.engine = new Engine(engine, memory.buffer, registerFile, events, registers);
    this.#breakpoints = new Breakpoints(this.engine);
    this.#observers = new ObserverSet(this.engine, this.#translator);
    if (instructionFetch.mode === 'coherent') return;
    const effects = new FetchEffectHooks(this.engine, instructionFetch);
    this.#fetchEffects = effects;
    const fetched = (page: number): Uint8Array => {
      const { frame } = processor.addressSpace.tableOfPage(page)?.lookup(page) ?? {};
      return frame === undefined ? NOTHING : memory.peek(processor.fetchUnit.views.get(frame) ?? frame);
    };
    this.#translator.beforeFetch = (page) => {
      const missing = effects.missing(page, fetched);
      return missing.length === 0 ? undefined : () => effects.add(missing);
    };
  }

  observe(observation: Observation): Disposable {
    return this.#observers.add(observation);
  }

  run({ instructions = Number.POSITIVE_INFINITY, breakpoints }: RunOptions): Exit {
    checkLimit(instructions);
    const processor = this.#processor;
    const { fetchUnit } = processor;
    this.#breakpoints.use(breakpoints);
    if (fetchUnit.returnsFromException) this.#owner.instructionFetch.returnFromException(fetchUnit);
    this.#effectAt = undefined;
    let done = 0;
    // Whether the instruction at pc has been let through by the breakpoints already.
    let isPassed = true;
    while (done < instructions) {
      const start = processor.pc;
      const effect = this.#effectAt === start ? this.#fetchEffects?.effect(start, processor) : undefined;
      if (effect?.emulated === true) {
        this.#apply(effect);
        done += 1;
        continue;
      }
      const limit = effect === undefined ? Math.min(instructions - done, NO_LIMIT) : 1;
      this.#breakpoints.begin(isPassed ? start : undefined);
      const { completed, exit, resolve } = this.#segment(start, limit, effect !== undefined);
      const begun = this.#begun;
      resolve?.();
      done += completed;
      isPassed = completed === begun - 1 || (isPassed && completed === 0);
      this.#observers.segmentDone(completed);
      if (effect !== undefined && completed === 1) this.#apply(effect);
      if (exit !== undefined) return this.#leave(done, exit);
    }
    const { pc } = processor;
    return this.#breakpoints.has(pc) && done > 0
      ? { instructions: done, reason: 'breakpoint', address: pc }
      : { instructions: done, reason: 'instructionLimit' };
  }

  #segment(start: bigint, limit: number, isEffect: boolean): Outcome {
    this.#bringUpToDate();
    this.#stop = undefined;
    this.#translator.refusal = undefined;
    this.#executingEffect = isEffect ? start : undefined;
    if (!isEffect) this.#effectAt = undefined;
    const code = this.#runEngine(start, limit);
    const { begun } = this.engine;
    const { refusal } = this.#translator;
    const stop = this.#whyStopped();
    const outcome = outcomeOf({ code, begun, limit, stop, refusal }, this.#processor, this.engine);
    if (stop?.kind === 'fetchEffect') this.#effectAt = this.#processor.pc;
    this.#begun = begun;
    return outcome;
  }

  #whyStopped(): Stop | undefined {
    return this.#stop;
  }

  #runEngine(start: bigint, limit: number): number {
    this.#owner.running = this.#processor;
    try {
      return this.engine.run(start, limit);
    } finally {
      this.#owner.running = undefined;
      this.#processor.forgetProgramCounter();
    }
  }

  #bringUpToDate(): void {
    const { fetchUnit } = this.#processor;
    this.#observers.updateHooks();
    if (!fetchUnit.flush) return;
    if (fetchUnit.forget.size > 0) {
      this.engine.forgetCode(fetchUnit.forget);
      fetchUnit.forget.clear();
    } else {
      this.engine.flushTranslations();
    }
    fetchUnit.flush = false;
    fetchUnit.epoch += 1;
    fetchUnit.writable.clear();
    this.#translator.virtualPages.clear();
  }

  #apply(effect: AppliedEffect): void {
    const { pc } = this.#processor;
    if (this.#effectAt !== pc || effect.emulated) this.#effectAt = undefined;
    effect.apply();
  }

  #leave(instructions: number, exit: ExitWithoutCount): Exit {
    const { reason } = exit;
    const isException =
      reason === 'fault' ||
      reason === 'exception' ||
      (reason === 'systemCall' && (exit.via === 'int' || exit.via === 'svc'));
    if (isException && this.#fetchEffects !== undefined)
      this.#processor.fetchUnit.returnsFromException = true;
    return { instructions, ...exit };
  }

  #code(address: bigint, size: number, tag: number): void {
    if (tag === Breakpoints.TAG) {
      if (!this.#breakpoints.stopsAt(address)) return;
      this.#stop = { kind: 'breakpoint' };
      this.engine.stop();
    } else if (tag === FetchEffectHooks.TAG) {
      if (address === this.#executingEffect) return;
      this.#stop ??= { kind: 'fetchEffect' };
      this.engine.stop();
    } else {
      this.#observers.instruction(address, size);
    }
  }
}

const NOTHING = new Uint8Array(0);

function checkLimit(instructions: number): void {
  const isCount = Number.isSafeInteger(instructions) && instructions >= 0;
  if (isCount || instructions === Number.POSITIVE_INFINITY) return;
  throw new CpuError('instructionLimit', `${instructions} is not a number of instructions`, {
    status: 'STATUS_INVALID_PARAMETER',
  });
}
