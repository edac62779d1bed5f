import type { AddressSpace } from '../../cpu/index.js';
import type { LoadedImage } from '../../loader/index.js';
import type { ChangedPage } from './engine-graph.js';

interface Region {
  readonly address: bigint;
  readonly size: number;
  /** Offsets that the protocol stores to: those bytes belong to the engine's state. */
  readonly engineOffsets: readonly number[];
}

/** The writable data of all images, which the processors share: every different contents that was met, by number. */
export class SharedData {
  readonly #regions: readonly Region[];
  readonly #contents: (readonly Uint8Array[])[] = [];
  readonly #ids = new Map<string, number>();
  /** Number of the contents before the call ran for the first time. */
  readonly first: number;
  #loaded = -1;

  constructor(
    private readonly space: AddressSpace,
    images: readonly LoadedImage[],
    changed: readonly ChangedPage[],
  ) {
    const addresses = changed.flatMap((page) => page.addresses);
    this.#regions = images.flatMap((image) =>
      image.writableSections.map(({ virtualAddress, virtualSize }) => {
        const address = image.address(virtualAddress);
        const engineOffsets = addresses
          .filter((at) => at >= address && at < address + BigInt(virtualSize))
          .map((at) => Number(at - address));
        return { address, size: virtualSize, engineOffsets };
      }),
    );
    this.first = this.current();
  }

  get count(): number {
    return this.#contents.length;
  }

  /** Number of the contents that are in memory now. */
  current(): number {
    const contents = this.#regions.map(({ address, size, engineOffsets }) => {
      const bytes = this.space.read(address, size);
      for (const offset of engineOffsets) bytes[offset] = 0;
      return bytes;
    });
    const key = contents.map((bytes) => Buffer.from(bytes.buffer).toString('latin1')).join();
    let id = this.#ids.get(key);
    if (id === undefined) {
      id = this.#contents.length;
      this.#ids.set(key, id);
      this.#contents.push(contents);
    }
    this.#loaded = id;
    return id;
  }

  /** Puts contents back; what the protocol stores must be stored again after it when this returns true. */
  load(id: number): boolean {
    if (id === this.#loaded) return false;
    this.#contents[id]?.forEach((bytes, index) => {
      const region = this.#regions[index];
      if (region !== undefined && region.size > 0) this.space.write(region.address, bytes);
    });
    this.#loaded = id;
    return true;
  }
}
