import {
  BugCheck,
  type ImageDomain,
  type Kernel,
  type LabEvent,
  type PlainEventKind,
} from '../../loader/index.js';
import { type ChangeFacts, Journal } from './journal.js';
import type { EngineStep, StoreStep } from './steps.js';
import { attemptStore, StoreEvent, type StoreRequest, type Storing } from './store.js';

/** Between an entry and a replacement. */
const ON_THE_WAY: ReadonlySet<string> = new Set(['dataSlot', 'codeSlot', 'padding']);

/**
 * What one operation of an engine works with: whatever it changes it can take back, and whatever it does the transcript is
 * told.
 */
export class Operation {
  readonly #journal = new Journal();

  constructor(
    readonly kernel: Kernel,
    private readonly storing: Storing,
  ) {}

  /** Tells the transcript. */
  emit<E extends LabEvent>(event: E): E {
    this.kernel.events.emit(event);
    return event;
  }

  tell(kind: PlainEventKind, text: string): void {
    this.kernel.events.tell(kind, text);
  }

  /** A change, how it is taken back, and what it is of. */
  change(perform: () => void, undo: () => void, facts?: ChangeFacts): void {
    this.#journal.change(perform, undo, facts);
  }

  /** @throws HotPatchError `store.failed` */
  store(request: StoreRequest): StoreStep {
    const { domain, image, target, address, bytes } = request;
    const before = domain.addressSpace.read(address, bytes.length);
    const access = this.storing(domain, address);
    this.change(
      () => attemptStore(access, request),
      () => {
        // The memory of a process that ended on the way is gone.
        if (isAlive(domain)) access.write(address, before);
      },
      { image, isOnTheWay: ON_THE_WAY.has(target) },
    );
    return this.emit(new StoreEvent(request, access.writer, before));
  }

  /** What was done until now stays, whatever comes: threads may have seen it, and taking it back would not look at them. */
  settle(): void {
    this.#journal.forget();
  }

  serialise(facts: { readonly ifRestored?: true } = {}): EngineStep {
    this.kernel.machine.serialise();
    return this.emit({ kind: 'serialised', text: '  every processor is serialised', ...facts });
  }

  /**
   * Runs the operation's steps. When they fail, or whoever steps through them leaves them on the way, everything is taken
   * back and every processor serialised, but for what was settled; a system that has stopped stays as it is.
   * @param isKept changes that stay; asked when they would be taken back
   */
  *run<T>(
    steps: () => Generator<EngineStep, T>,
    isKept?: (facts: ChangeFacts) => boolean,
  ): Generator<EngineStep, T> {
    const { bugChecks } = this.kernel;
    bugChecks.assertRunning('change code by a hotpatch');
    let stays = false;
    try {
      const result = yield* steps();
      stays = true;
      return result;
    } catch (error) {
      if (error instanceof BugCheck) {
        stays = true;
        if (bugChecks.current === undefined) bugChecks.stop(error);
      }
      throw error;
    } finally {
      if (!stays) {
        this.#journal.rollBack(isKept);
        this.kernel.machine.serialise();
      }
    }
  }
}

/** A process may end while it is being patched; the others go on. */
export function isAlive({ process }: ImageDomain): boolean {
  return process?.terminated !== true;
}

/** Steps in one place, as far as its process lets them come. */
export function* whileAlive(
  domain: ImageDomain,
  steps: Generator<EngineStep, void>,
): Generator<EngineStep, void> {
  if (!isAlive(domain)) return;
  for (const step of steps) {
    yield step;
    if (!isAlive(domain)) return;
  }
}
