import type { ImageDomain, Kernel, LabEvent, PlainEventKind } from '../../loader/index.js';
import { Journal, storeText } from '../core/journal.js';
import type { EngineStep, Occupation, StoreTarget } from '../core/steps.js';

export interface StoreRequest {
  readonly domain: ImageDomain;
  readonly target: StoreTarget;
  readonly address: bigint;
  readonly bytes: Uint8Array;
  /** `shell!CopyName` */
  readonly symbol: string;
  /** See the step. */
  readonly unlessOccupied?: readonly Occupation[] | undefined;
}

/** What an operation of this engine works with; everything that it changes goes through its journal. */
export class Operation {
  readonly journal: Journal;

  constructor(readonly kernel: Kernel) {
    this.journal = new Journal(kernel);
  }

  /** Tells the transcript. */
  emit<E extends LabEvent>(event: E): E {
    this.kernel.events.emit(event);
    return event;
  }

  tell(kind: PlainEventKind, text: string): void {
    this.kernel.events.tell(kind, text);
  }

  change(perform: () => void, undo: () => void): void {
    this.journal.change(perform, undo);
  }

  /** Takes everything back. */
  rollBack(): void {
    this.journal.rollBack();
    this.kernel.machine.serialise();
  }

  /**
   * One store. NT itself writes, through a writable alias of the locked pages (PatchGuard of Server 2003 x64 is told of
   * the kernel's own changes, modelled: as stores by who may change code): there is no Secure Kernel in this
   * generation. Pages of a process become its own first.
   */
  store({ domain, target, address, bytes, symbol, unlessOccupied }: StoreRequest): EngineStep {
    const { addressSpace } = domain;
    const before = addressSpace.read(address, bytes.length);
    this.change(
      () => domain.writer.writeCodeAsKernel(address, bytes),
      () => {
        // The memory of a process that ended on the way is gone.
        if (domain.process?.terminated !== true) domain.writer.writeCodeAsKernel(address, before);
      },
    );
    const { name } = domain.architecture;
    return this.emit({
      kind: 'store',
      target,
      writer: 'NT',
      place: domain.name,
      address,
      before,
      bytes,
      symbol,
      unlessOccupied,
      get text() {
        return storeText(name, { writer: 'NT', target, address, before, bytes, symbol });
      },
    });
  }

  serialise(): EngineStep {
    this.kernel.machine.serialise();
    return this.emit({ kind: 'serialised', text: '  every processor is serialised' });
  }

  rendezvous(phase: 'begin' | 'end'): EngineStep {
    const text = phase === 'begin' ? 'all processors are held' : 'all processors are let go';
    return this.emit({ kind: 'rendezvous', phase, text: `  ${text}` });
  }
}
