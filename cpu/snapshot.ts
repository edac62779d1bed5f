import { createHash, type Hash } from 'node:crypto';
import type { AddressSpace } from './address-space.js';
import type { MachineClock } from './clock.js';
import { CpuError } from './error.js';
import type { FetchState, InstructionFetch } from './instruction-fetch.js';
import type { PageTable, PageTableContents } from './page-table.js';
import type { AllocatorState, PhysicalMemory } from './physical-memory.js';
import type { Processor } from './processor.js';
import type { ProcessorContext } from './processor-context.js';
import { PAGE_SIZE } from './protection.js';
import type { StatePart } from './state-part.js';

/** Contents of a page that never change; undefined: all zero. */
type Page = Uint8Array | undefined;

interface ProcessorState {
  readonly context: ProcessorContext;
  readonly space: AddressSpace;
  readonly fetch: FetchState;
}

/** The state of a machine at one moment. Shares the pages that did not change with other snapshots; needs no disposal. */
export interface MachineSnapshot {
  /** @internal */
  readonly owner: SnapshotOwner;
  /**
   * By frame number.
   * @internal
   */
  readonly pages: readonly Page[];
  /** @internal */
  readonly allocator: AllocatorState;
  /** @internal */
  readonly tables: ReadonlyMap<PageTable, PageTableContents>;
  /** @internal */
  readonly spaces: ReadonlyMap<AddressSpace, readonly PageTable[]>;
  /** @internal */
  readonly processors: readonly ProcessorState[];
  /** Lab time, {@link Machine.time}. */
  readonly time: number;
  /** @internal */
  readonly parts: ReadonlyMap<StatePart, unknown>;
}

export interface SnapshotOwner {
  readonly memory: PhysicalMemory;
  readonly processors: readonly Processor[];
  readonly instructionFetch: InstructionFetch;
  readonly pageTables: readonly PageTable[];
  readonly addressSpaces: readonly AddressSpace[];
  readonly clock: MachineClock;
  readonly stateParts: readonly StatePart[];
}

const NOTHING: PageTableContents = { entries: new Map(), reserved: new Set() };

/** Takes and restores snapshots of one machine by the pages written since the last time. */
export class Snapshots {
  readonly #owner: SnapshotOwner;
  /** Memory at the last snapshot or restore. Replaced, never changed. */
  #base: readonly Page[] = [];

  constructor(owner: SnapshotOwner) {
    this.#owner = owner;
  }

  take(): MachineSnapshot {
    const { memory, instructionFetch } = this.#owner;
    const dirty = memory.takeDirty();
    if (dirty.length > 0) {
      this.#base = withPages(this.#base, memory, dirty);
      for (const { fetchUnit } of this.#owner.processors) fetchUnit.flushTranslations();
    }
    return {
      owner: this.#owner,
      time: this.#owner.clock.time,
      pages: this.#base,
      allocator: memory.saveAllocator(),
      tables: new Map(this.#owner.pageTables.map((table) => [table, table.save()])),
      spaces: new Map(this.#owner.addressSpaces.map((space) => [space, space.tables])),
      processors: this.#owner.processors.map((processor) => ({
        context: processor.saveContext(),
        space: processor.addressSpace,
        fetch: instructionFetch.save(processor.fetchUnit),
      })),
      parts: new Map(this.#owner.stateParts.map((part) => [part, part.save()])),
    };
  }

  restore(snapshot: MachineSnapshot): void {
    if (snapshot.owner !== this.#owner) {
      throw new CpuError('foreignSnapshot', 'the snapshot was taken of another machine', {
        status: 'STATUS_INVALID_PARAMETER',
      });
    }
    const { memory, instructionFetch } = this.#owner;
    const changed = new Set(memory.takeDirty());
    const from = this.#base;
    const to = snapshot.pages;
    if (from !== to) {
      for (let frame = 0; frame < Math.max(from.length, to.length); frame++) {
        if (from[frame] !== to[frame]) changed.add(frame);
      }
    }
    for (const frame of changed) {
      memory.overwrite(frame, to[frame]);
      for (const { fetchUnit } of this.#owner.processors) fetchUnit.forgetFrame(frame);
    }
    this.#base = to;
    this.#owner.clock.time = snapshot.time;
    memory.loadAllocator(snapshot.allocator);
    for (const table of this.#owner.pageTables) table.load(snapshot.tables.get(table) ?? NOTHING);
    for (const [space, tables] of snapshot.spaces) space.loadTables(tables);
    for (const [part, state] of snapshot.parts) part.load(state);
    for (const [index, state] of snapshot.processors.entries()) {
      const processor = this.#owner.processors[index];
      if (processor === undefined) continue;
      processor.loadContext(state.context);
      processor.addressSpace = state.space;
      instructionFetch.load(processor.fetchUnit, state.fetch);
    }
  }
}

/** `base` with copies of the dirty pages, which share one allocation. */
function withPages(base: readonly Page[], memory: PhysicalMemory, dirty: readonly number[]): Page[] {
  const pages = base.slice();
  const copies = new Uint8Array(dirty.length * PAGE_SIZE);
  for (const [index, frame] of dirty.entries()) {
    const copy = copies.subarray(index * PAGE_SIZE, (index + 1) * PAGE_SIZE);
    copy.set(memory.peekAny(frame));
    pages[frame] = copy;
  }
  return pages;
}

const hashesOfPages = new WeakMap<Uint8Array, string>();
const ZEROES = new Uint8Array(PAGE_SIZE);

function hashOfPage(page: Page): string {
  const contents = page ?? ZEROES;
  let hash = hashesOfPages.get(contents);
  if (hash === undefined) {
    hash = createHash('sha256').update(contents).digest('hex');
    hashesOfPages.set(contents, hash);
  }
  return hash;
}

/** SHA-256 in hex over everything a program can notice. */
export function hashSnapshot(snapshot: MachineSnapshot): string {
  const hash = createHash('sha256');
  for (const [frame, references] of snapshot.allocator.references.entries()) {
    if (references === 0) continue;
    const secondLevel = snapshot.allocator.secondLevel[frame];
    hash.update(`frame ${frame} ${references} ${secondLevel} ${hashOfPage(snapshot.pages[frame])}\n`);
  }
  for (const [table, contents] of snapshot.tables) hashTable(hash, table, contents);
  for (const [space, tables] of snapshot.spaces) {
    hash.update(`space ${space.name}: ${tables.map(({ name }) => name).join()}\n`);
  }
  for (const [index, { context, space, fetch }] of snapshot.processors.entries()) {
    const registers = snapshot.owner.processors[index]?.registersOf(context) ?? [];
    hash.update(`processor vtl ${context.vtl} in ${space.name}: ${registers.join()}\n`);
    const views = [...fetch.views].sort(byNumber).join();
    const invalidated = [...fetch.invalidated].sort(byNumber).join();
    const fetched = [...fetch.fetched].sort((a, b) => a - b).join();
    hash.update(`fetch ${fetched}; ${views}; ${invalidated}; ${fetch.returnsFromException}\n`);
  }
  for (const [part, state] of snapshot.parts) hash.update(`part ${part.name}: ${part.describe(state)}\n`);
  return hash.digest('hex');
}

const byNumber = ([a]: readonly [number, unknown], [b]: readonly [number, unknown]): number => a - b;

function hashTable(hash: Hash, { name, range }: PageTable, { entries, reserved }: PageTableContents): void {
  hash.update(`table ${name} ${range.start} ${range.end} ${range.mode} ${range.vtl}\n`);
  for (const [page, entry] of [...entries].sort(byNumber)) {
    const { protection, frame, copyOnWrite, guard, service } = entry;
    hash.update(`${page} ${protection} ${frame} ${copyOnWrite} ${guard} ${service}\n`);
  }
  hash.update(`reserved ${[...reserved].sort((a, b) => a - b).join()}\n`);
}

/** Whether two snapshots, of one machine or of two, hold equal states. */
export const equalSnapshots = (a: MachineSnapshot, b: MachineSnapshot): boolean =>
  a === b || hashSnapshot(a) === hashSnapshot(b);
