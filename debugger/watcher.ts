import type { AddressSpace, Exit, Machine, MemoryAccess, Processor, RunOptions } from '../cpu/index.js';
import type { Breakpoint } from './breakpoint.js';

export interface WatchHit {
  readonly breakpoint: Breakpoint;
  /** Address of the instruction that touched the bytes. */
  readonly instruction: bigint;
}

/**
 * Watches memory. A processor cannot be stopped by an access, so a run that touched watched bytes is taken back to its
 * snapshot and repeated one instruction at a time.
 */
export class Watcher {
  readonly #observed = new Map<Processor, Disposable>();
  readonly #values = new Map<Breakpoint, string>();
  #watches: readonly Breakpoint[] = [];
  #touched: Breakpoint | undefined;

  constructor(private readonly machine: Machine) {}

  use(watches: readonly Breakpoint[]): void {
    this.#watches = watches;
    if (watches.length > 0) return;
    for (const observation of this.#observed.values()) observation[Symbol.dispose]();
    this.#observed.clear();
    this.#values.clear();
  }

  get active(): boolean {
    return this.#watches.length > 0;
  }

  /** As {@link Processor.run}, but ends behind the first instruction that touches watched bytes. */
  run(processor: Processor, options: RunOptions): { readonly exit: Exit; readonly hit?: WatchHit } {
    if (!this.#observed.has(processor))
      this.#observed.set(processor, processor.observe({ memory: (access) => this.#note(access) }));
    const snapshot = this.machine.snapshot();
    this.#touched = undefined;
    const exit = processor.run(options);
    if (this.#touchedNow() === undefined) return { exit };
    this.machine.restore(snapshot);
    this.#touched = undefined;
    for (let executed = 0; ; ) {
      const instruction = processor.pc;
      const step = processor.step();
      executed += step.instructions;
      const breakpoint = this.#touchedNow();
      const hit =
        breakpoint === undefined || step.instructions === 0 ? {} : { hit: { breakpoint, instruction } };
      if (step.reason !== 'instructionLimit' || 'hit' in hit)
        return { exit: { ...step, instructions: executed }, ...hit };
    }
  }

  /** A watch whose bytes changed since the last call although no guest instruction wrote them: the kernel model did. */
  changedByHost(space: AddressSpace): Breakpoint | undefined {
    let changed: Breakpoint | undefined;
    for (const watch of this.#watches) {
      const value = this.#read(space, watch);
      const known = this.#values.get(watch);
      this.#values.set(watch, value);
      if (known !== undefined && value !== known) changed ??= watch;
    }
    return changed;
  }

  /** Takes the present bytes for known. */
  remember(space: AddressSpace): void {
    for (const watch of this.#watches) this.#values.set(watch, this.#read(space, watch));
  }

  #touchedNow(): Breakpoint | undefined {
    return this.#touched;
  }

  #note({ access, address, size }: MemoryAccess): void {
    this.#touched ??= this.#watches.find(
      (watch) =>
        watch.address !== undefined &&
        (watch.kind === 'access' || access === 'write') &&
        address < watch.address + BigInt(watch.size) &&
        watch.address < address + BigInt(size),
    );
  }

  #read(space: AddressSpace, { address = 0n, size }: Breakpoint): string {
    const { frame } = space.query(address);
    if (frame === undefined) return '';
    try {
      return Buffer.from(space.read(address, size)).toString('hex');
    } catch {
      return '';
    }
  }
}
