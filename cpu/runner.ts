import { architectureInMode } from './architecture/index.js';
import { countOf, learnUnknown } from './block-count.js';
import { addressesOf, Breakpoints } from './breakpoints.js';
import { type Emulation, GuestFault, type Moment } from './emulation/emulation.js';
import { EmulationHooks, fetchOne } from './emulation/hooks.js';
import { CpuError } from './error.js';
import type { ExitWithoutCount } from './exceptions.js';
import type { Exit } from './exit.js';
import { instructionFacts } from './instruction.js';
import type { Lane, LaneEvents } from './lane.js';
import { Lanes } from './lanes.js';
import { type Observation, ObserverSet } from './observers.js';
import { type Outcome, outcomeOf, type Segment, type Stop } from './outcome.js';
import type { Processor } from './processor.js';
import type { ProcessorOwner } from './processor-owner.js';
import { randomNumbers } from './schedule.js';
import { type AppliedEffect, FetchEffectHooks } from './serialising.js';
import type { Translator } from './translator.js';
import type { BlockLog } from './unicorn/block-log.js';
import { type Engine, type EngineKind, NO_LIMIT } from './unicorn/engine.js';

export interface RunOptions {
  /** Stop after so many. Default: no limit. */
  readonly instructions?: number;
  /** Stop before executing there; but not at the very first instruction of this run. */
  readonly breakpoints?: Iterable<bigint>;
}

/** #UD; the synchronous exception of ARM64. */
const INVALID_OPCODE_VECTOR: Readonly<Record<EngineKind, number>> = { 'x86-64': 6, arm64: 1 };

/**
 * Runs a processor's engine in segments: whatever needs the engine to stand still (filling a demand-zero page, forgetting
 * translated code, a serialising instruction) is done between two of them, and the instruction restarts.
 */
export class Runner {
  readonly #processor: Processor;
  readonly #owner: ProcessorOwner;
  readonly #lanes: Lanes;
  readonly #observers = new ObserverSet();
  #armed: ReadonlySet<bigint> = new Set();
  #stop: Stop | undefined;
  /** Instructions begun in the last segment. */
  #begun = 0;
  /** Where a segment ended because the instruction there is emulated or has an effect on fetching. */
  #heldAt: bigint | undefined;
  /** The same while that instruction is being executed. */
  #executingEffect: bigint | undefined;
  /** Where an observer was last told of an instruction, and how many had begun then. */
  #announced: { readonly address: bigint; readonly begun: number } | undefined;
  /** Instructions are translated one by one, because a block could not be translated. */
  #isConfined = false;
  /** The rest of the run is counted by instructions. */
  #isFine = false;
  /** The block that was last unknown to the engine. */
  #unknown: bigint | undefined;

  readonly #alignmentMask: bigint;

  constructor(processor: Processor, owner: ProcessorOwner) {
    this.#processor = processor;
    this.#owner = owner;
    this.#alignmentMask = BigInt(processor.architecture.minimumInstructionLength - 1);
    this.#lanes = new Lanes(processor, owner, (translator) => this.#events(translator));
  }

  /** The engine that has the registers. */
  get engine(): Engine {
    return this.#lane.engine;
  }

  get #lane(): Lane {
    return this.#lanes.current;
  }

  get #fetchEffects(): FetchEffectHooks | undefined {
    return this.#lane.fetchEffects;
  }

  #events(translator: Translator): LaneEvents {
    return {
      interrupt: (vector) => {
        this.#stop = { kind: 'interrupt', vector };
      },
      systemCall: (instruction) => {
        this.#stop = { kind: 'systemCall', instruction };
      },
      code: (address, size, tag) => this.#code(address, size, tag),
      block: (address, size) => this.#observers.block(address, size),
      translated: (address, size, instructions) => this.#translated(address, size, instructions),
      memory: (write, physical, size, value) =>
        this.#observers.memory(translator, write, physical, size, value),
      access: (access) => this.#observers.access(access),
      storesCode: () => {
        this.#isFine = true;
      },
    };
  }

  observe(observation: Observation): Disposable {
    return this.#observers.add(observation);
  }

  run({ instructions = Number.POSITIVE_INFINITY, breakpoints }: RunOptions): Exit {
    checkLimit(instructions);
    const processor = this.#processor;
    const { fetchUnit } = processor;
    this.#armed = addressesOf(breakpoints);
    this.#unknown = undefined;
    this.#isFine = this.#owner.counting === 'instructions' || this.#observers.isFine;
    if (fetchUnit.returnsFromException) this.#owner.instructionFetch.returnFromException(fetchUnit);
    this.#heldAt = undefined;
    let done = 0;
    // Whether the instruction at pc has been let through by the breakpoints already.
    let isPassed = true;
    while (done < instructions) {
      const start = processor.pc;
      if (this.#isMisaligned(start)) return this.#leave(done, misaligned(start));
      const isHeld = this.#heldAt === start;
      const isAlone = isHeld || this.#isConfined;
      if (isAlone && !isPassed && this.#armed.has(start)) break;
      const emulation = isAlone ? this.#lane.emulation.at(start) : undefined;
      const hasEffect = isHeld || emulation !== undefined;
      const effect = hasEffect ? this.#fetchEffects?.effect(start, processor) : undefined;
      const emulated = emulation && this.#emulate(emulation, start, done);
      if (emulated?.exit !== undefined) return this.#leave(done, emulated.exit);
      if (emulated !== undefined || effect?.emulated === true) {
        this.#heldAt = undefined;
        effect?.apply();
        done += 1;
        isPassed = false;
        continue;
      }
      const limit = isAlone ? 1 : Math.min(instructions - done, NO_LIMIT);
      const outcome = this.#segment(start, limit, isHeld, isPassed);
      const { completed, exit, resolve } = outcome;
      const begun = this.#begun;
      resolve?.();
      done += completed;
      const isBehindHook = completed === begun - 1 && begun <= limit && this.#heldAt === undefined;
      isPassed = isBehindHook || (isPassed && completed === 0);
      this.#tellSegment(completed);
      if (effect !== undefined && completed === 1) this.#apply(effect);
      if (outcome.aborted === true && this.#isConfined && completed === 0) {
        this.#release();
        return this.#leave(done, this.#untranslatable(start));
      }
      if (outcome.aborted === true) this.#isConfined = true;
      else if (this.#isConfined && exit === undefined && this.#hasLeftBlock(start)) this.#release();
      if (exit !== undefined) return this.#leave(done, exit);
    }
    const { pc } = processor;
    return this.#armed.has(pc) && done > 0
      ? this.#leave(done, { reason: 'breakpoint', address: pc })
      : this.#leave(done, { reason: 'instructionLimit' });
  }

  #isMisaligned(address: bigint): boolean {
    return (address & this.#alignmentMask) !== 0n;
  }

  /** A new block is about to be executed; in a callback of the engine. */
  #translated(address: bigint, size: number, instructions: number): void {
    const processor = this.#processor;
    const bytes = processor.fetchBytes(address, size);
    const resolve = this.#isMisaligned(address)
      ? () => processor.forgetCode(address, size)
      : this.#lane.emulation.vet(address, bytes);
    this.engine.blocks?.learn({ address, bytes, instructions, bits: processor.bits });
    if (resolve === undefined) return;
    this.#stop = { kind: 'unhooked', resolve };
    this.engine.stop();
  }

  /** Does the instruction at `pc` in place of the engine; undefined: the engine is to execute it. */
  #emulate(emulation: Emulation, pc: bigint, done: number): { readonly exit?: ExitWithoutCount } | undefined {
    const processor = this.#processor;
    emulation.makeRight?.(processor);
    if (emulation.isRightNow?.(processor) === true) return undefined;
    const isAnnounced = this.#announced?.address === pc && this.#announced.begun === this.#begun;
    if (!isAnnounced) this.#observers.instruction(pc, emulation.length);
    this.#observers.block(pc, emulation.length);
    try {
      const exit = emulation.perform(this.#moment(done));
      this.#observers.segmentDone(exit === undefined ? 1 : 0);
      if (exit !== undefined) return { exit };
      processor.pc = BigInt.asUintN(processor.bits, pc + BigInt(emulation.length));
      return {};
    } catch (error) {
      this.#observers.segmentDone(0);
      if (error instanceof GuestFault) return { exit: error.exit };
      throw error;
    }
  }

  #tellSegment(instructions: number): void {
    const { blocks } = this.engine;
    if (blocks?.isLogging !== true) this.#observers.segmentDone(instructions);
    else this.#observers.executed({ identities: blocks.takeLog(), blocks: blocks.blocks, instructions });
  }

  #moment(done: number): Moment {
    const { processorCount, seed, clock } = this.#owner;
    const now = clock.time + done;
    const { memory } = this.#lane;
    return {
      processor: this.#processor,
      processors: processorCount,
      time: BigInt(now),
      random: () => randomAt(seed, this.#processor.index, now),
      read: (address, size) => memory.read(address, size),
      readForWrite: (address, size) => memory.readForWrite(address, size),
      write: (address, size, value) => memory.write(address, size, value),
    };
  }

  /** The instruction at which Unicorn's translator gives up is none of its processors. */
  #untranslatable(instruction: bigint): ExitWithoutCount {
    const vector = INVALID_OPCODE_VECTOR[this.engine.kind];
    return { reason: 'exception', name: 'invalidOpcode', vector, instruction };
  }

  /** Whether the block that could not be translated ends with the instruction at `start`, or before where it stands now. */
  #hasLeftBlock(start: bigint): boolean {
    const { flow, length } = this.#facts(start);
    const { pc } = this.#processor;
    return flow !== 'next' || (pc !== start && pc !== start + BigInt(length));
  }

  #instructionAt(address: bigint): Uint8Array {
    return fetchOne(this.#processor, address).subarray(0, this.#facts(address).length);
  }

  #facts(address: bigint) {
    const processor = this.#processor;
    const { name } = architectureInMode(processor.architecture, processor.bits);
    return instructionFacts(name, fetchOne(processor, address), address);
  }

  #release(): void {
    this.#isConfined = false;
    this.engine.confineTranslation(undefined);
  }

  #segment(start: bigint, limit: number, isHeld: boolean, isPassed: boolean): Outcome {
    const isShort = limit < SHORT || this.#isFine || this.#lanes.isAmbiguous;
    this.#lanes.use(isShort ? 'instructions' : 'blocks');
    const { engine, translator, breakpoints, counting } = this.#lane;
    breakpoints.use(this.#armed);
    if (counting === 'instructions') this.#observers.updateHooks(engine);
    engine.logBlocks(this.#observers.wantsExecuted);
    this.#lane.bringUpToDate();
    breakpoints.begin(isPassed ? start : undefined);
    this.#stop = undefined;
    translator.refusal = undefined;
    this.#executingEffect = isHeld ? start : undefined;
    this.#heldAt = undefined;
    const confined = this.#isConfined ? this.#instructionAt(start) : undefined;
    if (confined !== undefined) engine.confineTranslation(start + BigInt(confined.byteLength));
    const code = this.#runEngine(start, limit);
    const { refusal } = translator;
    const stop = this.#whyStopped();
    const count = countOf(engine, this.#processor, { code, stop, refusal });
    if (engine.blocks?.pause === 'unknown') this.#learn(engine.blocks);
    const segment: Segment = { code, ...count, limit, stop, refusal, confined };
    const outcome = outcomeOf(segment, this.#processor, engine);
    if (stop?.kind === 'held') this.#heldAt = this.#processor.pc;
    this.#begun = count.begun;
    return outcome;
  }

  #learn(blocks: BlockLog): void {
    const { address } = blocks.unknown;
    if (address === this.#unknown) this.#isFine = true;
    this.#unknown = address;
    learnUnknown(blocks, this.#processor);
  }

  #whyStopped(): Stop | undefined {
    return this.#stop;
  }

  #runEngine(start: bigint, limit: number): number {
    this.#owner.clock.running = this.#processor;
    try {
      return this.engine.run(start, limit);
    } finally {
      this.#owner.clock.running = undefined;
      this.#processor.forgetProgramCounter();
    }
  }

  #apply(effect: AppliedEffect): void {
    effect.apply();
  }

  [Symbol.dispose](): void {
    this.#lanes[Symbol.dispose]();
  }

  #leave(instructions: number, exit: ExitWithoutCount): Exit {
    if (this.#isConfined) this.#release();
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
      if (!this.#lane.breakpoints.stopsAt(address)) return;
      this.#stop = { kind: 'breakpoint' };
      this.engine.stop();
    } else if (tag === FetchEffectHooks.TAG) {
      this.#hold(address);
    } else if (tag === EmulationHooks.TAG) {
      const emulation = this.#lane.emulation.at(address);
      if (emulation === undefined || emulation.isRightNow?.(this.#processor) === true) return;
      this.#hold(address);
    } else {
      if (this.#lane.emulation.hasAny) this.#announced = { address, begun: this.engine.begun };
      this.#observers.instruction(address, size);
    }
  }

  #hold(address: bigint): void {
    if (address === this.#executingEffect) return;
    this.#stop ??= { kind: 'held' };
    this.engine.stop();
  }
}

/** Arm ARM, ESR_ELx.EC: PC alignment fault. */
const PC_ALIGNMENT = 0x22;

const misaligned = (instruction: bigint): ExitWithoutCount => ({
  reason: 'exception',
  name: 'pcAlignment',
  vector: PC_ALIGNMENT,
  instruction,
});

/** 64 bits that only the seed, the processor and the time decide. */
function randomAt(seed: number, processor: number, time: number): bigint {
  const high = Math.floor(time / 2 ** 32);
  const next = randomNumbers(seed ^ Math.imul(processor + 1, 0x9e37_79b9) ^ Math.imul(high + 1, 0x85eb_ca6b));
  const mixed = randomNumbers(next() ^ (time >>> 0));
  return (BigInt(mixed()) << 32n) | BigInt(mixed());
}

/** Runs of fewer instructions are counted one by one: that takes less time than to change to the other engine and back. */
const SHORT = 1000;

function checkLimit(instructions: number): void {
  const isCount = Number.isSafeInteger(instructions) && instructions >= 0;
  if (isCount || instructions === Number.POSITIVE_INFINITY) return;
  throw new CpuError('instructionLimit', `${instructions} is not a number of instructions`, {
    status: 'STATUS_INVALID_PARAMETER',
  });
}
