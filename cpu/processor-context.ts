import type { EngineKind } from './unicorn/engine.js';

/** The full register state of a processor at one moment. Immutable; fits every processor of the same kind. */
export class ProcessorContext {
  /** @internal */
  readonly engine: EngineKind;
  readonly bytes: Uint8Array;
  readonly vtl: 0 | 1;

  constructor(engine: EngineKind, bytes: Uint8Array, vtl: 0 | 1) {
    this.engine = engine;
    this.bytes = bytes;
    this.vtl = vtl;
  }
}
