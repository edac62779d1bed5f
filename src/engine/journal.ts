import { formatAddress } from '../cpu/index.js';
import type { Kernel, LoadedImage } from '../loader/index.js';
import { formatBytes } from '../loader/index.js';
import type { EngineStep, StoreTarget, Writer } from './steps.js';

const CODE: ReadonlySet<StoreTarget> = new Set(['codeSlot', 'padding', 'entry']);

/**
 * Every change that a transaction makes goes through its journal, which can take all of them back, last one first.
 */
export class Journal {
  readonly #undo: (() => void)[] = [];

  constructor(private readonly kernel: Kernel) {}

  /** One store, by whoever writes code or data in the image's domain; the guest's protections stay as they are. */
  store(
    image: LoadedImage,
    target: StoreTarget,
    address: bigint,
    bytes: Uint8Array,
    symbol: string,
  ): EngineStep {
    const before = image.domain.addressSpace.read(address, bytes.length);
    const images = image.domain.writer;
    const isCode = CODE.has(target);
    const writer: Writer = isCode ? images.codeWriter : images.dataWriter;
    const write = (value: Uint8Array) =>
      isCode ? images.writeCode(address, value) : images.writeData(address, value);
    write(bytes);
    this.#undo.push(() => write(before));
    const { name } = this.kernel.machine.architecture;
    return {
      kind: 'store',
      target,
      writer,
      address,
      before,
      bytes,
      symbol,
      text: `  ${writer} stores ${formatBytes(bytes)} at ${formatAddress(name, address)} (${TARGET_TEXT[target]} of ${symbol}; was ${formatBytes(before)})`,
    };
  }

  commitHpat(image: LoadedImage, fill: number): EngineStep | undefined {
    const { hpat } = image;
    if (hpat === undefined || hpat.committed) return undefined;
    hpat.commit(fill);
    this.#undo.push(() => hpat.decommit());
    return {
      kind: 'hpatCommitted',
      image: image.baseDllName,
      text: `  HPAT of ${image.baseDllName} gets memory: ${hpat.reserveSize / 0x2000} code and data page pair(s), ${hpat.capacity} slots`,
    };
  }

  /** A change of the engine's own books. */
  change(perform: () => void, undo: () => void): void {
    perform();
    this.#undo.push(undo);
  }

  /** Takes everything back. */
  rollBack(): void {
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) undo();
  }

  get length(): number {
    return this.#undo.length;
  }
}

const TARGET_TEXT: Record<StoreTarget, string> = {
  dataSlot: 'HPAT data slot',
  codeSlot: 'HPAT code slot',
  padding: 'jump in the padding',
  entry: 'entry',
  pointer: 'pointer',
};
