import type { ImageDomain } from '../../loader/index.js';
import { type DataRegion, dataRegions, readRegion } from './data-regions.js';
import type { ChangedPage } from './engine-graph.js';

/** The writable data of all images of the places that calls are made in, which the processors share: every different contents that was met, by number. */
export class SharedData {
  readonly #regions: readonly DataRegion[];
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
    this.#regions = dataRegions(places, changed);
    this.first = this.current();
  }

  get count(): number {
    return this.#contents.length;
  }

  /** Number of the contents that are in memory now. */
  current(): number {
    const contents = this.#regions.map(readRegion);
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

  contents(id: number): readonly Uint8Array[] {
    return this.#contents[id] ?? [];
  }

  /** Puts contents back; what the protocol stores must be stored again after it when this returns true. */
  load(id: number): boolean {
    if (id === this.#loaded) return false;
    this.#contents[id]?.forEach((bytes, index) => {
      const region = this.#regions[index];
      if (region !== undefined && region.size > 0) region.domain.addressSpace.write(region.address, bytes);
    });
    this.#loaded = id;
    return true;
  }
}
