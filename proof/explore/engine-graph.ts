import { type ArchitectureName, CpuError } from '../../cpu/index.js';
import type { PlacedRange, ProtocolStep, StoreProtocolStep } from '../recording.js';
import { LIMITS_CHANGES, mayChangeConcurrently } from './arm64-concurrency.js';

/** A page that the protocol stores to, and where. */
export interface ChangedPage {
  /** Name of the domain that has it. */
  readonly place: string;
  readonly base: bigint;
  /** Fetched from by processors, so that one may still see older bytes of it. */
  readonly executable: boolean;
  /** Ascending. */
  readonly addresses: readonly bigint[];
}

/** A moment between two indivisible steps of the protocol. */
export interface EngineNode {
  readonly id: number;
  /** Steps done so far. */
  readonly step: number;
  /** For each changed page the number of its contents, see {@link EngineGraph.contents}. */
  readonly memory: readonly number[];
  /** No processor runs. */
  readonly gathered: boolean;
  readonly unmapped: readonly PlacedRange[];
  /** The operation is complete. */
  readonly committed: boolean;
  readonly edges: readonly EngineEdge[];
}

export interface EngineEdge {
  readonly to: number;
  readonly text: string;
  readonly serialises: boolean;
  /** Pages that every processor fetches anew, because they have got other memory. */
  readonly refetched?: readonly number[];
  /** The protocol does nothing: it leaves a store out, or has nothing to serialise for. */
  readonly leftOut?: true;
  /** Possible only when some processor stands in the range, or when none does. */
  readonly condition?: { readonly ranges: readonly PlacedRange[]; readonly occupied: boolean };
  /** Arm: instructions that may only be replaced while no processor is about to execute them. */
  readonly hazards?: readonly PlacedRange[];
}

export interface EngineGraphInput {
  readonly architecture: ArchitectureName;
  readonly steps: readonly ProtocolStep[];
  /** The byte before the first step. */
  before(place: string, address: bigint): number;
  isExecutable(place: string, address: bigint): boolean;
  /** Is the page copied by the first store to it? */
  isCopiedOnWrite(place: string, page: bigint): boolean;
}

interface Moment {
  readonly step: number;
  /** Parts of a divided store that are done, as bits. */
  readonly parts: number;
  readonly memory: readonly number[];
  readonly gathered: boolean;
  readonly unmapped: readonly PlacedRange[];
  readonly restored: boolean;
}

const PAGE_MASK = ~0xfffn;

/**
 * The protocol as a graph of the moments that it can be at. Mostly a chain; it branches where a store can be seen in
 * halves, which may then be done in either order, and where the engine looks at the processors before it stores.
 */
export class EngineGraph {
  readonly pages: readonly ChangedPage[];
  readonly nodes: readonly EngineNode[];
  readonly architecture: ArchitectureName;
  readonly #steps: readonly ProtocolStep[];
  /** By page, then by content number; number 0 stands for nothing. */
  readonly #contents: Uint8Array[][];
  readonly #contentIds: Map<string, number>[];
  readonly #ids = new Map<string, number>();
  /** Pages that are copied by the first store to them. */
  readonly #copied: readonly number[];
  readonly #moments: Moment[] = [];

  constructor({ architecture, steps, before, isExecutable, isCopiedOnWrite }: EngineGraphInput) {
    this.architecture = architecture;
    this.#steps = steps;
    this.pages = changedPages(steps, isExecutable);
    this.#contents = this.pages.map(() => [new Uint8Array()]);
    this.#contentIds = this.pages.map(() => new Map());
    this.#copied = this.pages.flatMap(({ place, base }, page) =>
      isCopiedOnWrite(place, base) ? [page] : [],
    );
    const memory = this.pages.map(({ place, addresses }, page) =>
      this.#contentId(
        page,
        Uint8Array.from(addresses, (address) => before(place, address)),
      ),
    );
    this.#idOf({ step: 0, parts: 0, memory, gathered: false, unmapped: [], restored: false });
    const nodes: EngineNode[] = [];
    for (const [id, moment] of this.#moments.entries()) {
      const edges = this.#edges(moment);
      const { step, gathered, unmapped } = moment;
      nodes.push({
        id,
        step,
        gathered,
        unmapped,
        memory: moment.memory,
        edges,
        committed: step === steps.length,
      });
    }
    this.nodes = nodes;
  }

  node(id: number): EngineNode {
    const node = this.nodes[id];
    if (node === undefined) throw new RangeError(`there is no engine node ${id}`);
    return node;
  }

  /** Contents of all pages in which each byte is as at one of two moments. */
  mixed(a: EngineNode, b: EngineNode, isAsInB: (place: string, address: bigint) => boolean): number[] {
    return this.pages.map(({ place, addresses }, page) => {
      const bytes = this.contents(page, a.memory[page] ?? 0).slice();
      const other = this.contents(page, b.memory[page] ?? 0);
      for (const [index, address] of addresses.entries())
        if (isAsInB(place, address)) bytes[index] = other[index] ?? 0;
      return this.#contentId(page, bytes);
    });
  }

  /** The bytes at the changed addresses of a page. */
  contents(page: number, id: number): Uint8Array {
    return this.#contents[page]?.[id] ?? new Uint8Array();
  }

  /** Numbers of contents that a page can have. */
  contentCount(page: number): number {
    return this.#contents[page]?.length ?? 0;
  }

  /** Number of contents that are given by their bytes. */
  contentOf(page: number, bytes: Uint8Array): number {
    return this.#contentId(page, bytes);
  }

  #contentId(page: number, bytes: Uint8Array): number {
    const ids = this.#contentIds[page];
    const list = this.#contents[page];
    if (ids === undefined || list === undefined) throw new RangeError(`there is no changed page ${page}`);
    const key = Buffer.from(bytes).toString('latin1');
    const known = ids.get(key);
    if (known !== undefined) return known;
    ids.set(key, list.length);
    list.push(bytes);
    return list.length - 1;
  }

  #idOf(moment: Moment): number {
    const { step, parts, memory, gathered, unmapped, restored } = moment;
    const key = `${step}.${parts} ${memory.join()} ${gathered} ${unmapped.length} ${restored}`;
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = this.#moments.length;
    this.#ids.set(key, id);
    this.#moments.push(moment);
    return id;
  }

  #edges(moment: Moment): EngineEdge[] {
    const step = this.#steps[moment.step];
    if (step === undefined) return [];
    const next: Moment = { ...moment, step: moment.step + 1, parts: 0 };
    const edge = (to: Moment, serialises = false): EngineEdge => ({
      to: this.#idOf(to),
      text: step.text.trim(),
      serialises,
    });
    switch (step.kind) {
      case 'store':
        return this.#store(moment, step, next);
      case 'rendezvous':
        return [edge({ ...next, gathered: step.phase === 'begin' })];
      case 'serialise':
        return step.ifRestored !== true || moment.restored
          ? [edge(next, true)]
          : [{ ...edge(next), leftOut: true }];
      case 'unmap':
        return [edge({ ...next, unmapped: [...moment.unmapped, step.range] })];
      case 'note':
        return [edge(next)];
    }
  }

  #store(moment: Moment, step: StoreProtocolStep, next: Moment): EngineEdge[] {
    const { unlessOccupied } = step;
    const text = step.text.trim();
    if (unlessOccupied !== undefined) {
      const done = { ...next, restored: true, memory: this.#stored(moment.memory, step) };
      const ranges = unlessOccupied.map((range) => ({ place: step.place, ...range }));
      const condition = (occupied: boolean) => ({ ranges, occupied });
      return [
        { to: this.#idOf(done), text, serialises: false, condition: condition(false) },
        {
          to: this.#idOf(next),
          text: `left out: ${text}`,
          serialises: false,
          leftOut: true,
          condition: condition(true),
        },
      ];
    }
    const parts = moment.gathered ? [{ address: step.address, bytes: step.bytes }] : visibleParts(step);
    const all = 2 ** parts.length - 1;
    return parts.flatMap(({ address, bytes }, index) => {
      const bit = 1 << index;
      if ((moment.parts & bit) !== 0) return [];
      const memory = this.#stored(moment.memory, { place: step.place, address, bytes });
      const isLast = (moment.parts | bit) === all;
      const to = isLast ? { ...next, memory } : { ...moment, memory, parts: moment.parts | bit };
      const part = parts.length === 1 ? '' : ` (${bytes.length} of its ${step.bytes.length} bytes)`;
      const edge = { to: this.#idOf(to), text: `${text}${part}`, serialises: false };
      const hazards = moment.gathered ? [] : this.#hazards(moment.memory, memory);
      const first = this.#moments[0]?.memory ?? [];
      const refetched = this.#copied.filter(
        (page) => moment.memory[page] === first[page] && memory[page] !== first[page],
      );
      return [
        {
          ...edge,
          ...(hazards.length === 0 ? {} : { hazards }),
          ...(refetched.length === 0 ? {} : { refetched }),
        },
      ];
    });
  }

  /** The words of A64 code that differ, and that the architecture does not allow to change under execution. */
  #hazards(before: readonly number[], after: readonly number[]): PlacedRange[] {
    if (!LIMITS_CHANGES[this.architecture]) return [];
    return this.pages.flatMap(({ place, executable, addresses }, page) => {
      if (!executable || before[page] === after[page]) return [];
      return wordsOf(addresses).flatMap((start) => {
        const old = this.word(page, before[page] ?? 0, start);
        const now = this.word(page, after[page] ?? 0, start);
        return old === now || mayChangeConcurrently(old, now) ? [] : [{ place, start, end: start + 4n }];
      });
    });
  }

  /** The A64 instruction at `start`, which is all in the changed addresses of the page. */
  word(page: number, content: number, start: bigint): number {
    const first = this.pages[page]?.addresses.indexOf(start) ?? -1;
    const [a = 0, b = 0, c = 0, d = 0] = this.contents(page, content).subarray(first, first + 4);
    return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
  }

  #stored(
    memory: readonly number[],
    { place, address, bytes }: Pick<StoreProtocolStep, 'place' | 'address' | 'bytes'>,
  ): readonly number[] {
    return memory.map((id, page) => {
      const changedPage = this.pages[page];
      if (changedPage?.place !== place) return id;
      const { addresses } = changedPage;
      const contents = this.contents(page, id).slice();
      let changed = false;
      for (const [index, at] of addresses.entries()) {
        const byte = bytes[Number(at - address)];
        if (at < address || byte === undefined) continue;
        contents[index] = byte;
        changed = true;
      }
      return changed ? this.#contentId(page, contents) : id;
    });
  }
}

/** Starts of the aligned words of which all four bytes are in the list. */
function wordsOf(addresses: readonly bigint[]): bigint[] {
  return addresses.filter((at, index) => (at & 3n) === 0n && addresses[index + 3] === at + 3n);
}

/**
 * A store is seen whole when it lies within eight aligned bytes (Intel SDM vol. 3, "Guaranteed Atomic Operations";
 * docs/fidelity.md#application takes the same bound); else each aligned part of it is a store of its own.
 */
export function visibleParts({ address, bytes }: Pick<StoreProtocolStep, 'address' | 'bytes'>) {
  const parts: { address: bigint; bytes: Uint8Array }[] = [];
  let done = 0;
  while (done < bytes.length) {
    const at = address + BigInt(done);
    const count = Math.min(8 - Number(at & 7n), bytes.length - done);
    parts.push({ address: at, bytes: bytes.subarray(done, done + count) });
    done += count;
  }
  return parts;
}

function changedPages(
  steps: readonly ProtocolStep[],
  isExecutable: (place: string, address: bigint) => boolean,
): ChangedPage[] {
  const pages = new Map<string, { place: string; base: bigint; addresses: Set<bigint> }>();
  for (const step of steps) {
    if (step.kind !== 'store') continue;
    if (step.bytes.length === 0) throw new CpuError('emptyStore', 'a protocol has a store without bytes');
    for (let index = 0; index < step.bytes.length; index++) {
      const address = step.address + BigInt(index);
      const base = address & PAGE_MASK;
      const { place } = step;
      const page = pages.get(`${place} ${base}`) ?? { place, base, addresses: new Set() };
      page.addresses.add(address);
      pages.set(`${place} ${base}`, page);
    }
  }
  return [...pages.values()]
    .sort((a, b) => (a.base < b.base ? -1 : a.base > b.base ? 1 : 0))
    .map(({ place, base, addresses }) => ({
      place,
      base,
      executable: isExecutable(place, base),
      addresses: [...addresses].sort((a, b) => (a < b ? -1 : 1)),
    }));
}
