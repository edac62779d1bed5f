import type { Processor } from '../../cpu/index.js';
import type { Lab } from '../../lab/index.js';
import type { LoadedImage, SliceObserver, Thread } from '../../loader/index.js';
import { formatDrcov } from './drcov.js';

/** A stretch of an image's code that was executed, without a branch inside. */
export interface CoveredBlock {
  readonly rva: number;
  /** Bytes. */
  readonly size: number;
}

/** Collects which code of which images a lab executes. One for each lab. */
export class Coverage implements SliceObserver {
  readonly #blocks = new Map<LoadedImage, Map<string, CoveredBlock>>();
  readonly #observed = new Set<Processor>();
  #entered: { address: bigint; size: number }[] = [];

  attach({ kernel }: Lab): void {
    kernel.scheduler.watch(this);
  }

  sliceBegins(_thread: Thread, processor: Processor): void {
    if (!this.#observed.has(processor)) {
      processor.observe({ block: (address, size) => void this.#entered.push({ address, size }) });
      this.#observed.add(processor);
    }
    this.#entered = [];
  }

  sliceEnds(thread: Thread, processor: Processor): void {
    this.#cutLast(processor.pc);
    for (const { address, size } of this.#entered) this.#cover(thread, address, size);
  }

  /** By image, in the order in which they were first executed; blocks by address. */
  get images(): ReadonlyMap<LoadedImage, readonly CoveredBlock[]> {
    return new Map(
      [...this.#blocks].map(([image, blocks]) => [image, [...blocks.values()].sort((a, b) => a.rva - b.rva)]),
    );
  }

  /** As a file of DynamoRIO's drcov, which Lighthouse, Cartographer and bncov read. */
  toDrcov(): Uint8Array {
    return formatDrcov(this.images);
  }

  /** A run that stops inside a block has not executed all of it. */
  #cutLast(pc: bigint): void {
    const last = this.#entered.at(-1);
    if (last !== undefined && pc >= last.address && pc < last.address + BigInt(last.size))
      last.size = Number(pc - last.address);
  }

  #cover({ domain }: Thread, address: bigint, size: number): void {
    const image = size > 0 ? domain.imageAt(address) : undefined;
    if (image === undefined) return;
    const blocks = this.#blocks.get(image) ?? new Map<string, CoveredBlock>();
    this.#blocks.set(image, blocks);
    const rva = image.rva(address);
    blocks.set(`${rva} ${size}`, { rva, size });
  }
}
