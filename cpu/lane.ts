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
    const isWeak = owner.instructionFetch.mode === 'weak';
    this.translator = new Translator(
      processor,
      owner,
      unit,
      isWeak ? (page) => this.#effectsOf(page, processor, owner) : undefined,
    );
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
    if (isWeak) this.fetchEffects = new FetchEffectHooks(this.engine, owner.instructionFetch);
    this.breakpoints = new Breakpoints(this.engine);
    this.emulation = new EmulationHooks(processor, this.engine);
    this.memory = new GuestMemory(processor, memory, this.translator, told.access);
  }

  /** What has to be done before code of a page is fetched. */
  #effectsOf(page: number, processor: Processor, { memory }: ProcessorOwner): (() => void) | undefined {
    const { fetchEffects } = this;
    if (fetchEffects === undefined) return undefined;
    const missing = fetchEffects.missing(page, (other) => {
      const { addressSpace, fetchUnit } = processor;
      const { frame } = addressSpace.tableOfPage(other)?.lookup(other) ?? {};
      return frame === undefined ? NOTHING : memory.peek(fetchUnit.views.get(frame) ?? frame);
    });
    return missing.length === 0 ? undefined : () => fetchEffects.add(missing);
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
