import { createHash } from 'node:crypto';
import type { ImageDomain } from '../../loader/index.js';
import type { ChangedPage, EngineGraph, EngineNode } from './engine-graph.js';

export interface DataRegion {
  readonly domain: ImageDomain;
  readonly address: bigint;
  readonly size: number;
  /** Offsets that the protocol stores to: those bytes belong to the engine's state. */
  readonly engineOffsets: readonly number[];
}

/** The writable data of all images of places, and of those above them: a session's driver may change data of the kernel's. */
export function dataRegions(places: readonly ImageDomain[], changed: readonly ChangedPage[]): DataRegion[] {
  const domains = new Set(places.flatMap((place) => (place.parent ? [place, place.parent] : [place])));
  return [...domains].flatMap((domain) => {
    const addresses = changed.flatMap((page) => (page.place === domain.name ? page.addresses : []));
    return domain.images.flatMap((image) =>
      image.writableSections.map(({ virtualAddress, virtualSize }) => {
        const address = image.address(virtualAddress);
        const engineOffsets = addresses
          .filter((at) => at >= address && at < address + BigInt(virtualSize))
          .map((at) => Number(at - address));
        return { domain, address, size: virtualSize, engineOffsets };
      }),
    );
  });
}

/** Contents of a region, less what belongs to the engine. */
export function readRegion({ domain, address, size, engineOffsets }: DataRegion): Uint8Array {
  const bytes = domain.addressSpace.read(address, size);
  for (const offset of engineOffsets) bytes[offset] = 0;
  return bytes;
}

/** Stands for the bytes that the operation has left and the data that calls have left. */
export function finalKey(graph: EngineGraph, node: EngineNode, data: readonly Uint8Array[]): string {
  const hash = createHash('sha1');
  for (const [page, content] of node.memory.entries()) hash.update(graph.contents(page, content));
  for (const bytes of data) hash.update(bytes);
  return hash.digest('hex');
}
