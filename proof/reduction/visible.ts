import { standsIn } from '../../engine/index.js';
import type { ImageDomain } from '../../loader/index.js';
import type { EngineGraph } from '../explore/engine-graph.js';
import type { PlacedRange } from '../recording.js';
import { placeNamed, type Subject } from '../subject.js';
import { ByteMap } from './byte-map.js';

/** One changed byte, as a call sees it. */
export interface ChangedByte {
  /** Number of the changed page, and which of its changed bytes. */
  readonly page: number;
  readonly index: number;
}

/** What of a call the engine and the other processors can notice, and it of them. */
export class Visible {
  /** By address: bytes that the engine changes. */
  readonly changed = new ByteMap();
  /** Addresses of code that the engine asks about, or takes away: who stands there matters. */
  readonly ranges: readonly PlacedRange[];
  /** Pages of changed code, by page number of the address. */
  readonly codePages = new Map<number, number>();
  readonly #bytes = new Map<bigint, ChangedByte>();

  constructor(
    subject: Subject,
    private readonly graph: EngineGraph,
    readonly place: ImageDomain,
    /** By changed page: does the call see it? */
    readonly seen: readonly boolean[],
    /** Bytes that other processors use too, one of them to write: their order matters. */
    readonly conflicts: ByteMap,
  ) {
    for (const [page, { base, addresses, executable }] of graph.pages.entries()) {
      if (seen[page] !== true) continue;
      if (executable) this.codePages.set(Number(base >> 12n), page);
      for (const [index, address] of addresses.entries()) {
        this.changed.add(address, 1, 1);
        this.#bytes.set(address, { page, index });
      }
    }
    const isHere = ({ place: name, start, end }: PlacedRange) =>
      standsIn(place, start, { domain: placeNamed(subject.lab, name), start, end });
    const all = graph.nodes.flatMap(({ edges, unmapped }) => [
      ...unmapped,
      ...edges.flatMap(({ condition, hazards = [] }) =>
        condition === undefined ? hazards : [...condition.ranges, ...hazards],
      ),
    ]);
    this.ranges = distinct(all).filter(isHere);
  }

  byteAt(address: bigint): ChangedByte | undefined {
    return this.#bytes.get(address);
  }

  contents({ page, index }: ChangedByte, content: number): number {
    return this.graph.contents(page, content)[index] ?? 0;
  }

  isWatched(address: bigint): boolean {
    for (const { start, end } of this.ranges) if (address >= start && address < end) return true;
    return false;
  }
}

function distinct(ranges: readonly PlacedRange[]): PlacedRange[] {
  return [...new Map(ranges.map((range) => [`${range.place} ${range.start} ${range.end}`, range])).values()];
}
