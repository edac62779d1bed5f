import type { AddressSpace, Machine, PageTable } from '../../cpu/index.js';
import { type MemoryChange, type PageChange, PROTECTIONS, packPage } from '../recording/entry.js';
import type { SpaceFacts, TableFacts } from '../recording/format.js';

const PAGE_SIZE = 0x1000;
/** Equal bytes between two changes that are cheaper to keep than to leave out. */
const SMALL_GAP = 4;

type TableContents = ReturnType<PageTable['save']>;
type PageEntry = TableContents['entries'] extends ReadonlyMap<number, infer E> ? E : never;

/** Frames and tables are counted over all machines of a recording. */
export interface MemoryNumbers {
  frames: number;
  readonly tables: TableFacts[];
}

/** What a recording's reader knows of a machine's memory so far, to tell what it must be told next. */
export class MemoryTracker {
  readonly #shadows = new Map<number, { readonly frame: number; readonly bytes: Uint8Array }>();
  readonly #tables = new Map<PageTable, { readonly index: number; contents: TableContents | undefined }>();
  readonly #spaces = new Map<AddressSpace, { tables: readonly PageTable[]; readonly facts: MutableSpace }>();

  constructor(
    private readonly machine: Machine,
    private readonly numbers: MemoryNumbers,
    private readonly spaces: SpaceFacts[],
  ) {}

  /** Index of an address space in the recording, which it becomes part of at `moment`. */
  space(space: AddressSpace, moment: number): number {
    return this.spaces.indexOf(this.#known(space, moment).facts);
  }

  /** Address spaces that were given other page tables than before. */
  noteSpaces(moment: number): void {
    for (const [space, known] of this.#spaces) {
      if (space.tables === known.tables) continue;
      known.tables = space.tables;
      known.facts.tables.push({ from: moment, tables: this.#indices(space.tables) });
    }
  }

  /** Pages that came, went or changed since the last call; `fresh` gets the frames that became visible by it. */
  pageChanges(fresh: Set<number>): PageChange[] {
    const changes: PageChange[] = [];
    for (const table of this.machine.pageTables) {
      const known = this.#table(table);
      const contents = table.save();
      if (contents === known.contents) continue;
      this.#compareTables(table, known.index, known.contents, contents, fresh, changes);
      known.contents = contents;
    }
    return changes;
  }

  /** Has anything changed that the reader was not told of? */
  differs(): boolean {
    for (const [table, { contents }] of this.#tables) if (table.save() !== contents) return true;
    for (const [physical, { bytes }] of this.#shadows)
      if (Buffer.compare(this.machine.memory.peekAny(physical), bytes) !== 0) return true;
    return false;
  }

  /** Every byte that differs, of the pages that were ever visible. */
  allChanges(): MemoryChange[] {
    const changes: MemoryChange[] = [];
    for (const physical of this.#shadows.keys()) this.#compareFrame(physical, 0, PAGE_SIZE, changes);
    return changes;
  }

  /** Bytes that differ in these frames. */
  changesIn(frames: Iterable<number>): MemoryChange[] {
    const changes: MemoryChange[] = [];
    for (const physical of frames) this.#compareFrame(physical, 0, PAGE_SIZE, changes);
    return changes;
  }

  /** Bytes that differ where something was stored. */
  changesAt(space: AddressSpace, address: bigint, size: number, changes: MemoryChange[]): void {
    for (let done = 0; done < size; ) {
      const at = address + BigInt(done);
      const offset = Number(at & 0xfffn);
      const count = Math.min(PAGE_SIZE - offset, size - done);
      const page = Number(BigInt.asUintN(64, at) >> 12n);
      const frame = space.tableOfPage(page)?.lookup(page)?.frame;
      if (frame !== undefined) this.#compareFrame(frame, offset, offset + count, changes);
      done += count;
    }
  }

  #known(space: AddressSpace, moment: number): { tables: readonly PageTable[]; facts: MutableSpace } {
    const known = this.#spaces.get(space);
    if (known !== undefined) return known;
    const { name, tables } = space;
    const facts = { name, tables: [{ from: moment, tables: this.#indices(tables) }] };
    const added = { tables, facts };
    this.#spaces.set(space, added);
    this.spaces.push(facts);
    return added;
  }

  #indices(tables: readonly PageTable[]): number[] {
    return tables.map((table) => this.#table(table).index);
  }

  #table(table: PageTable): { readonly index: number; contents: TableContents | undefined } {
    const known = this.#tables.get(table);
    if (known !== undefined) return known;
    const { name, firstPage, lastPage } = table;
    const added = { index: this.numbers.tables.push({ name, firstPage, lastPage }) - 1, contents: undefined };
    this.#tables.set(table, added);
    return added;
  }

  #compareTables(
    { firstPage }: PageTable,
    table: number,
    before: TableContents | undefined,
    after: TableContents,
    fresh: Set<number>,
    changes: PageChange[],
  ): void {
    const compare = (page: number) => {
      const difference = (this.#packed(page, before, undefined) ^ this.#packed(page, after, fresh)) >>> 0;
      if (difference !== 0) changes.push({ table, page: page - firstPage, difference });
    };
    for (const [page, entry] of after.entries) if (before?.entries.get(page) !== entry) compare(page);
    for (const page of after.reserved) if (before?.reserved.has(page) !== true) compare(page);
    if (before === undefined) return;
    const isGone = (page: number) => !after.entries.has(page) && !after.reserved.has(page);
    for (const page of before.entries.keys()) if (isGone(page)) compare(page);
    for (const page of before.reserved) if (isGone(page)) compare(page);
  }

  #packed(page: number, contents: TableContents | undefined, fresh: Set<number> | undefined): number {
    const entry = contents?.entries.get(page);
    if (entry !== undefined) return this.#packedEntry(entry, fresh);
    return contents?.reserved.has(page) === true ? packPage({ ...NOTHING, state: 'reserved' }) : 0;
  }

  #packedEntry({ protection, frame, copyOnWrite, guard, service }: PageEntry, fresh?: Set<number>): number {
    if (frame !== undefined && fresh !== undefined) fresh.add(frame);
    return packPage({
      state: 'committed',
      protection: PROTECTIONS.indexOf(protection),
      frame: frame === undefined ? undefined : this.#shadow(frame).frame,
      copyOnWrite,
      guard,
      service,
    });
  }

  #shadow(physical: number): { readonly frame: number; readonly bytes: Uint8Array } {
    const known = this.#shadows.get(physical);
    if (known !== undefined) return known;
    const added = { frame: this.numbers.frames++, bytes: new Uint8Array(PAGE_SIZE) };
    this.#shadows.set(physical, added);
    return added;
  }

  #compareFrame(physical: number, from: number, to: number, changes: MemoryChange[]): void {
    const { frame, bytes } = this.#shadow(physical);
    const now = this.machine.memory.peekAny(physical);
    if (Buffer.compare(now.subarray(from, to), bytes.subarray(from, to)) === 0) return;
    for (let at = from; at < to; at++) {
      if (now[at] === bytes[at]) continue;
      const end = endOfChange(bytes, now, at, to);
      const difference = now.slice(at, end);
      for (let index = 0; index < difference.length; index++)
        difference[index] = (difference[index] ?? 0) ^ (bytes[at + index] ?? 0);
      bytes.set(now.subarray(at, end), at);
      changes.push({ frame, offset: at, difference });
      at = end;
    }
  }
}

interface MutableSpace extends SpaceFacts {
  readonly tables: { from: number; tables: number[] }[];
}

const NOTHING = {
  state: 'free',
  protection: 0,
  frame: undefined,
  copyOnWrite: false,
  guard: false,
  service: false,
} as const;

function endOfChange(before: Uint8Array, now: Uint8Array, start: number, limit: number): number {
  let end = start + 1;
  for (let at = end; at < limit && at - end < SMALL_GAP; at++) if (before[at] !== now[at]) end = at + 1;
  return end;
}
