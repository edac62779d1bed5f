import type { Architecture, Machine, Processor, ProcessorContext, Ring } from '../../cpu/index.js';

/** Registers as after reset, once for each ring and width: what a new thread starts from. */
export class ModeContexts {
  readonly #contexts = new Map<string, ProcessorContext>();
  readonly #reset: ProcessorContext;

  constructor(machine: Machine) {
    this.#reset = machine.processor(0).saveContext();
  }

  /** Puts a processor into the state in which code of this architecture, ring and trust level begins. */
  load(
    processor: Processor,
    { architecture, ring, vtl }: { architecture: Architecture; ring: Ring; vtl: 0 | 1 },
  ): void {
    const { bits } = architecture.initialMode;
    const key = `${ring} ${bits}`;
    const known = this.#contexts.get(key);
    if (known !== undefined) processor.loadContext(known);
    else {
      processor.loadContext(this.#reset);
      processor.setMode(ring, bits);
      this.#contexts.set(key, processor.saveContext());
    }
    processor.vtl = vtl;
  }
}
