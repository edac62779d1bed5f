import { CpuError, hex } from './error.js';
import type { PhysicalMemory } from './physical-memory.js';
import {
  EVERYTHING,
  EXECUTE,
  PAGE_SHIFT,
  PAGE_SIZE,
  type PageProtection,
  PERMISSIONS,
  type Permissions,
  READ,
} from './protection.js';

export interface PageTableRange {
  /** First address and first address behind, both on page boundaries. */
  readonly start: bigint;
  readonly end: bigint;
  readonly mode: 'user' | 'kernel';
  /** 1: seen by VTL1 alone. The second level then leaves VTL0 nothing of the pages' memory, through whatever alias. */
  readonly vtl?: 0 | 1;
  /** Memory integrity (HVCI): the second level lets VTL0 write no page that is executable here, through whatever alias. */
  readonly protectsCode?: boolean;
  readonly name: string;
}

/** A committed page. Never changed, only replaced. */
export interface PageEntry {
  readonly protection: PageProtection;
  readonly permissions: Permissions;
  /** Physical page; undefined until the first access of a demand-zero page. */
  readonly frame: number | undefined;
  /** The frame is shared until somebody writes. */
  readonly copyOnWrite: boolean;
  readonly guard: boolean;
  readonly service: boolean;
}

export interface CommitOptions {
  /** Allocate each frame on first access. */
  readonly demandZero?: boolean;
  readonly guard?: boolean;
  /** Share these frames, one per page, instead of allocating. */
  readonly frames?: readonly number[];
  /** Default: true for the WRITECOPY protections when `frames` are given. */
  readonly copyOnWrite?: boolean;
}

export interface PageInfo {
  readonly state: 'free' | 'reserved' | 'committed';
  readonly protection?: PageProtection;
  readonly frame?: number;
  readonly copyOnWrite: boolean;
  readonly guard: boolean;
  readonly service: boolean;
}

export interface PageTableContents {
  readonly entries: ReadonlyMap<number, PageEntry>;
  readonly reserved: ReadonlySet<number>;
}

/** The machine's side of a page table. */
export interface PageTableOwner {
  readonly memory: PhysicalMemory;
  /** The frame full of breakpoints that every service page shows. */
  readonly serviceFrame: number;
  /** Called before any change of an entry. Throws while a processor runs. */
  beforeTableChange(): void;
}

const NO_PAGE: PageInfo = { state: 'free', copyOnWrite: false, guard: false, service: false };

/** Pages of one range of virtual addresses: kernel space, one session, one process, or VTL1. */
export class PageTable {
  readonly range: Required<PageTableRange>;
  readonly firstPage: number;
  readonly lastPage: number;
  readonly #owner: PageTableOwner;
  #entries = new Map<number, PageEntry>();
  #reserved = new Set<number>();
  #saved: PageTableContents | undefined;

  constructor(range: PageTableRange, owner: PageTableOwner) {
    const { start, end } = range;
    if (start < 0n || end > 1n << 64n || start >= end || (start | end) % BigInt(PAGE_SIZE) !== 0n) {
      throw new CpuError('pageRange', `${range.name}: ${hex(start)}..${hex(end)} is not a range of pages`, {
        status: 'STATUS_INVALID_PARAMETER',
        address: start,
      });
    }
    this.range = { vtl: 0, protectsCode: false, ...range };
    this.firstPage = Number(start >> PAGE_SHIFT);
    this.lastPage = Number((end - 1n) >> PAGE_SHIFT);
    this.#owner = owner;
  }

  get name(): string {
    return this.range.name;
  }

  reserve(address: bigint, pages: number): void {
    const first = this.#pages(address, pages);
    for (let page = first; page < first + pages; page++) {
      if (this.#reserved.has(page) || this.#entries.has(page)) throw this.#conflict('reserve', page);
    }
    this.#change();
    for (let page = first; page < first + pages; page++) this.#reserved.add(page);
  }

  /** Commits reserved pages, or reserves and commits free ones. Refuses pages that are committed. */
  commit(address: bigint, pages: number, protection: PageProtection, options: CommitOptions = {}): void {
    const { frames, demandZero = false, guard = false } = options;
    const first = this.#pages(address, pages);
    if (frames !== undefined && frames.length !== pages) {
      throw new CpuError('commitFrames', `${frames.length} frames for ${pages} pages`, {
        status: 'STATUS_INVALID_PARAMETER',
        address,
      });
    }
    this.#assertUncommitted('commit', first, pages);
    this.#change();
    const permissions = permissionsOf(protection);
    const copyOnWrite = options.copyOnWrite ?? (frames !== undefined && protection.endsWith('WRITECOPY'));
    const own = demandZero && frames === undefined ? [] : this.#takeFrames(pages, frames);
    for (let index = 0; index < pages; index++) {
      const entry = { protection, permissions, frame: own[index], copyOnWrite, guard, service: false };
      this.#set(first + index, entry);
      this.#reserved.delete(first + index);
    }
  }

  /** New frames, or one more reference to each of the given ones; all or none. */
  #takeFrames(pages: number, shared: readonly number[] | undefined): number[] {
    const { memory } = this.#owner;
    const taken: number[] = [];
    try {
      for (let index = 0; index < pages; index++) {
        const frame = shared?.[index];
        if (frame !== undefined) memory.retain(frame);
        taken.push(frame ?? memory.allocate());
      }
    } catch (error) {
      for (const frame of taken) memory.release(frame);
      throw error;
    }
    return taken;
  }

  /**
   * Pages from which a fetch ends the run as a service call. They can be read (they are full of breakpoints), unless
   * nothing is there that could be: `readable` false.
   */
  service(address: bigint, pages: number, { readable = true }: { readonly readable?: boolean } = {}): void {
    const first = this.#pages(address, pages);
    this.#assertUncommitted('make service pages of', first, pages);
    this.#change();
    const { memory, serviceFrame } = this.#owner;
    for (let page = first; page < first + pages; page++) {
      memory.retain(serviceFrame);
      this.#entries.set(page, {
        protection: 'PAGE_EXECUTE_READ',
        permissions: readable ? PERMISSIONS.PAGE_EXECUTE_READ : EXECUTE,
        frame: serviceFrame,
        copyOnWrite: false,
        guard: false,
        service: true,
      });
      this.#reserved.delete(page);
    }
  }

  /** Gives the memory back; the addresses stay reserved. Pages that are reserved already are left alone. */
  decommit(address: bigint, pages: number): void {
    const first = this.#pages(address, pages);
    this.#change();
    for (let page = first; page < first + pages; page++) {
      if (this.#drop(page)) this.#reserved.add(page);
    }
  }

  /** Gives memory and addresses back. */
  release(address: bigint, pages: number): void {
    const first = this.#pages(address, pages);
    this.#change();
    for (let page = first; page < first + pages; page++) {
      this.#drop(page);
      this.#reserved.delete(page);
    }
  }

  /** Sets the protection of committed pages, and whether the first access to them is caught (default: not). */
  protect(
    address: bigint,
    pages: number,
    protection: PageProtection,
    options: { readonly guard?: boolean } = {},
  ): void {
    const first = this.#pages(address, pages);
    const permissions = permissionsOf(protection);
    const { guard = false } = options;
    for (let page = first; page < first + pages; page++) this.committed(page);
    this.#change();
    for (let page = first; page < first + pages; page++) {
      this.#set(page, { ...this.committed(page), protection, permissions, guard });
    }
  }

  query(address: bigint): PageInfo {
    const page = this.#pages(address - (address % BigInt(PAGE_SIZE)), 1);
    const entry = this.#entries.get(page);
    if (entry === undefined) return this.#reserved.has(page) ? { ...NO_PAGE, state: 'reserved' } : NO_PAGE;
    const { protection, frame, copyOnWrite, guard, service } = entry;
    return {
      state: 'committed',
      protection,
      ...(frame === undefined ? {} : { frame }),
      copyOnWrite,
      guard,
      service,
    };
  }

  /** Every committed page in ascending order, with its address. */
  *entries(): Iterable<PageEntry & { readonly address: bigint }> {
    for (const page of [...this.#entries.keys()].sort((a, b) => a - b)) {
      yield { address: BigInt(page) << PAGE_SHIFT, ...this.committed(page) };
    }
  }

  get committedPages(): number {
    return this.#entries.size;
  }

  /** By page number (address / 4096). */
  lookup(page: number): PageEntry | undefined {
    return this.#entries.get(page);
  }

  isReserved(page: number): boolean {
    return this.#reserved.has(page);
  }

  committed(page: number): PageEntry {
    const entry = this.#entries.get(page);
    if (entry === undefined) {
      const address = BigInt(page) << PAGE_SHIFT;
      throw new CpuError('notCommitted', `${this.name}: page ${hex(address)} is not committed`, {
        status: 'STATUS_NOT_COMMITTED',
        address,
        place: this.name,
      });
    }
    return entry;
  }

  /** The page's frame, after demand-zero and, if `forWrite`, copy-on-write have been done. */
  resolve(page: number, forWrite: boolean): number {
    const entry = this.committed(page);
    const { frame } = entry;
    if (frame !== undefined && !(forWrite && entry.copyOnWrite)) return frame;
    const { memory } = this.#owner;
    this.#change();
    const own = memory.allocate();
    if (frame !== undefined) {
      memory.copy(frame, own);
      memory.release(frame);
    }
    this.#set(page, { ...entry, frame: own, copyOnWrite: false });
    return own;
  }

  /** A copy that later changes leave alone; the same object as long as nothing changes. */
  save(): PageTableContents {
    this.#saved ??= { entries: new Map(this.#entries), reserved: new Set(this.#reserved) };
    return this.#saved;
  }

  load(contents: PageTableContents): void {
    if (this.#saved === contents) return;
    this.#owner.beforeTableChange();
    this.#entries = new Map(contents.entries);
    this.#reserved = new Set(contents.reserved);
    this.#saved = contents;
  }

  #change(): void {
    this.#owner.beforeTableChange();
    this.#saved = undefined;
  }

  /** Every entry with memory of its own comes through here, so that no page escapes the second level. */
  #set(page: number, entry: PageEntry): void {
    this.#entries.set(page, entry);
    const { vtl, protectsCode } = this.range;
    const isCode = (entry.permissions & EXECUTE) !== 0;
    const left = vtl === 1 ? 0 : protectsCode && isCode ? READ | EXECUTE : EVERYTHING;
    if (entry.frame !== undefined) this.#owner.memory.limitSecondLevel(entry.frame, left);
  }

  #drop(page: number): boolean {
    const entry = this.#entries.get(page);
    if (entry === undefined) return false;
    if (entry.frame !== undefined) this.#owner.memory.release(entry.frame);
    return this.#entries.delete(page);
  }

  #assertUncommitted(doing: string, first: number, pages: number): void {
    for (let page = first; page < first + pages; page++) {
      if (this.#entries.has(page)) throw this.#conflict(doing, page);
    }
  }

  #conflict(doing: string, page: number): CpuError {
    const address = BigInt(page) << PAGE_SHIFT;
    return new CpuError('pageInUse', `${this.name}: cannot ${doing} page ${hex(address)}: it is in use`, {
      status: 'STATUS_CONFLICTING_ADDRESSES',
      address,
    });
  }

  #pages(address: bigint, pages: number): number {
    const { start, end } = this.range;
    const isWhole = address % BigInt(PAGE_SIZE) === 0n && Number.isSafeInteger(pages) && pages > 0;
    if (!isWhole || address < start || address + BigInt(pages * PAGE_SIZE) > end) {
      throw new CpuError(
        'pageRange',
        `${this.name}: ${pages} pages at ${hex(address)} are not pages of ${hex(start)}..${hex(end)}`,
        { status: 'STATUS_INVALID_PARAMETER', address },
      );
    }
    return Number(address >> PAGE_SHIFT);
  }
}

function permissionsOf(protection: PageProtection): Permissions {
  const permissions: Permissions | undefined = PERMISSIONS[protection];
  if (permissions === undefined) {
    throw new CpuError('pageProtection', `${protection} is not a page protection`, {
      status: 'STATUS_INVALID_PAGE_PROTECTION',
    });
  }
  return permissions & EVERYTHING;
}
