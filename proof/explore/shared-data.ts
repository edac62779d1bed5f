import type { AddressSpace } from '../../cpu/index.js';
import type { ImageDomain } from '../../loader/index.js';
import type { ChangedPage } from './engine-graph.js';

interface Region {
  readonly space: AddressSpace;
  readonly address: bigint;
  readonly size: number;
  /** Offsets that the protocol stores to: those bytes belong to the engine's state. */
  readonly engineOffsets: readonly number[];
}

/** The writable data of all images of the places that calls are made in, which the processors share: every different contents that was met, by number. */
export class SharedData {
  readonly #regions: readonly Region[];
  readonly #contents: (readonly Uint8Array[])[] = [];
  readonly #ids = new Map<string, number>();
  /** Number of the contents before the call ran for the first time. */
  readonly first: number;
  #loaded = -1;

  constructor(
    /** With those above them: a session's driver may change data of the kernel's. */
    places: readonly ImageDomain[],
    changed: readonly ChangedPage[],
  ) {
    const domains = new Set(places.flatMap((place) => (place.parent ? [place, place.parent] : [place])));
    this.#regions = [...domains].flatMap(({ name, addressSpace: space, images }) => {
      const addresses = changed.flatMap((page) => (page.place === name ? page.addresses : []));
      return images.flatMap((image) =>
        image.writableSections.map(({ virtualAddress, virtualSize }) => {
          const address = image.address(virtualAddress);
          const engineOffsets = addresses
            .filter((at) => at >= address && at < address + BigInt(virtualSize))
            .map((at) => Number(at - address));
          return { space, address, size: virtualSize, engineOffsets };
        }),
      );
    });
    this.first = this.current();
  }

  get count(): number {
    return this.#contents.length;
  }

  /** Number of the contents that are in memory now. */
  current(): number {
    const contents = this.#regions.map(({ space, address, size, engineOffsets }) => {
      const bytes = space.read(address, size);
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
      if (region !== undefined && region.size > 0) region.space.write(region.address, bytes);
    });
    this.#loaded = id;
    return true;
  }
}
