import { type ArchitectureName, CpuError, formatAddress, isExecutable } from '../../cpu/index.js';
import { formatBytes, hex, type Kernel, type LoadedImage } from '../../loader/index.js';
import type { TrampolineForm } from '../modern/trampoline.js';
import { HotPatchError } from './error.js';
import type { EngineStep, Occupation, StoreStep, StoreTarget } from './steps.js';

/**
 * Every change that a transaction makes goes through its journal, which can take all of them back, last one first.
 */
export class Journal {
  readonly #changes: { readonly undo: () => void; readonly image: LoadedImage | undefined }[] = [];

  constructor(private readonly kernel: Kernel) {}

  /**
   * One store, by whoever writes code or data in the image's domain: which of the two the page's protection decides. The
   * protection that the guest sees stays as it is.
   */
  store(
    image: LoadedImage,
    target: StoreTarget,
    address: bigint,
    bytes: Uint8Array,
    symbol: string,
    unlessOccupied?: readonly Occupation[],
  ): EngineStep {
    const { domain } = image;
    const before = domain.addressSpace.read(address, bytes.length);
    const { protection } = domain.addressSpace.query(address);
    const isCode = protection !== undefined && isExecutable(protection);
    const writer = isCode ? domain.writer.codeWriter : domain.writer.dataWriter;
    const write = (value: Uint8Array) =>
      isCode ? domain.writer.writeCode(address, value) : domain.writer.writeData(address, value);
    this.change(
      () => this.#attempt(write, bytes, { image, target, address, symbol }),
      () => {
        // The memory of a process that ended on the way is gone.
        if (domain.process?.terminated !== true) write(before);
      },
      image,
    );
    const { name } = this.kernel.machine.architecture;
    return {
      kind: 'store',
      target,
      writer,
      place: domain.name,
      address,
      before,
      bytes,
      symbol,
      unlessOccupied,
      // A large patch makes tens of thousands of these, and most are never read.
      get text() {
        return storeText(name, { writer, target, address, before, bytes, symbol });
      },
    };
  }

  #attempt(
    write: (value: Uint8Array) => void,
    bytes: Uint8Array,
    {
      image,
      target,
      address,
      symbol,
    }: { image: LoadedImage; target: StoreTarget; address: bigint; symbol: string },
  ): void {
    try {
      write(bytes);
    } catch (error) {
      if (!(error instanceof CpuError)) throw error;
      throw new HotPatchError({
        rule: 'store.failed',
        status: error.status?.name === 'STATUS_NO_MEMORY' ? 'STATUS_NO_MEMORY' : 'STATUS_ACCESS_VIOLATION',
        image: image.baseDllName,
        place: `${TARGET_TEXT[target]}, RVA ${hex(Number(address - image.dllBase))}`,
        symbol,
        ...domainOf(image),
        message: error.message,
        cause: error,
      });
    }
  }

  /** Gives the image's HPAT memory, when it has none yet. */
  commitHpat(image: LoadedImage, form: TrampolineForm): EngineStep | undefined {
    const { hpat } = image;
    if (hpat === undefined || hpat.committed) return undefined;
    this.change(
      () => hpat.commit(form.slotFill),
      () => {
        hpat.decommit();
      },
      image,
    );
    return {
      kind: 'hpatCommitted',
      image: image.baseDllName,
      text: `  HPAT of ${image.baseDllName} gets memory: ${hpat.reserveSize / 0x1000} pages, ${hpat.capacity} slots`,
    };
  }

  /** A change, how it is taken back, and the image whose bytes it changes. */
  change(perform: () => void, undo: () => void, image?: LoadedImage): void {
    perform();
    this.#changes.push({ undo, image });
  }

  /**
   * Takes everything back.
   * @param kept images that keep what was stored into them: threads are in them, and go on as they have begun
   */
  rollBack(kept: readonly LoadedImage[] = []): void {
    for (let change = this.#changes.pop(); change !== undefined; change = this.#changes.pop())
      if (!kept.some((image) => image === change.image)) change.undo();
  }
}

/** How a store is told. */
export function storeText(
  architecture: ArchitectureName,
  {
    writer,
    target,
    address,
    before,
    bytes,
    symbol,
  }: Pick<StoreStep, 'writer' | 'target' | 'address' | 'before' | 'bytes' | 'symbol'>,
): string {
  const where = formatAddress(architecture, address);
  return `  ${writer} stores ${formatBytes(bytes)} at ${where} (${TARGET_TEXT[target]} of ${symbol}; was ${formatBytes(before)})`;
}

const TARGET_TEXT: Record<StoreTarget, string> = {
  dataSlot: 'HPAT data slot',
  codeSlot: 'HPAT code slot',
  padding: 'jump in the padding',
  entry: 'entry',
  pointer: 'pointer',
  relative: 'relative operand',
  value: 'dynamic value',
};

/** Named in reports only where there is more than one address space that it could be. */
export function domainOf({ domain }: LoadedImage): { domain?: string } {
  return domain.kind === 'user' || domain.kind === 'session' ? { domain: domain.name } : {};
}
