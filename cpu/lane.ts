import { Breakpoints } from './breakpoints.js';
import type { Counting } from './counting.js';
import { GuestMemory } from './emulation/guest-memory.js';
import { EmulationHooks } from './emulation/hooks.js';
import type { FetchUnit } from './instruction-fetch.js';
import type { MemoryAccess } from './observers.js';
import type { Processor } from './processor.js';
import type { ProcessorOwner } from './processor-owner.js';
import { FetchEffectHooks } from './serialising.js';
import { Translator } from './translator.js';
import type { EngineEvents } from './unicorn/callbacks.js';
import { Engine } from './unicorn/engine.js';

/** What a lane tells the runner while its engine runs. */
export interface LaneEvents extends Omit<EngineEvents, 'translate' | 'retry'> {
  memory(write: boolean, physical: number, size: number, value: bigint): void;
  access(access: MemoryAccess): void;
  /** The guest stores into code that this engine has translated, which only one that counts each instruction can follow. */
  storesCode(): void;
}

/** An engine of a processor, with its hooks and its view of memory. */
export class Lane implements Disposable {
  readonly engine: Engine;
  readonly translator: Translator;
  readonly breakpoints: Breakpoints;
  readonly emulation: EmulationHooks;
  readonly memory: GuestMemory;
  readonly counting: Counting;
  /** Of weak mode. */
  readonly fetchEffects: FetchEffectHooks | undefined;

  constructor(
    processor: Processor,
    owner: ProcessorOwner,
    counting: Counting,
    events: (translator: Translator) => LaneEvents,
  ) {
    this.counting = counting;
    const { architecture, memory } = owner;
    const { engine, registerFile, registers } = architecture;
    const { fetchUnit } = processor;
    const unit = counting === 'blocks' ? (fetchUnit.companion ?? fetchUnit) : fetchUnit;
    this.translator = new Translator(processor, owner, unit);
    const told = events(this.translator);
    this.engine = new Engine(
      engine,
      memory.buffer,
      registerFile,
      {
        ...told,
        translate: (page, access) => this.translator.translate(page, access),
        retry: (access, resolve) => this.translator.retry(access, resolve),
      },
      { general: registers, countsBlocks: counting === 'blocks', functions: owner.unicornFunctions },
    );
    const { blocks } = this.engine;
    if (blocks !== undefined) this.translator.separate(blocks, () => told.storesCode());
    if (owner.instructionFetch.mode === 'weak') this.fetchEffects = this.#watchFetches(processor, owner);
    this.breakpoints = new Breakpoints(this.engine);
    this.emulation = new EmulationHooks(processor, this.engine);
    this.memory = new GuestMemory(processor, memory, this.translator, told.access);
  }

  #watchFetches(processor: Processor, { instructionFetch, memory }: ProcessorOwner): FetchEffectHooks {
    const effects = new FetchEffectHooks(this.engine, instructionFetch);
    const fetched = (page: number): Uint8Array => {
      const { addressSpace, fetchUnit } = processor;
      const { frame } = addressSpace.tableOfPage(page)?.lookup(page) ?? {};
      return frame === undefined ? NOTHING : memory.peek(fetchUnit.views.get(frame) ?? frame);
    };
    this.translator.beforeFetch = (page) => {
      const missing = effects.missing(page, fetched);
      return missing.length === 0 ? undefined : () => effects.add(missing);
    };
    return effects;
  }

  get unit(): FetchUnit {
    return this.translator.unit;
  }

  /** Does what has to be done with the engine standing still. */
  bringUpToDate(): void {
    const { unit } = this;
    if (!unit.flush) return;
    if (unit.forget.size > 0) {
      this.engine.forgetCode(unit.forget);
      unit.forget.clear();
    } else {
      this.engine.flushTranslations();
    }
    unit.flush = false;
    unit.epoch += 1;
    unit.writable.clear();
    this.translator.virtualPages.clear();
  }

  [Symbol.dispose](): void {
    this.engine[Symbol.dispose]();
  }
}

const NOTHING = new Uint8Array(0);
