import { CpuError, hex } from './error.js';
import { NumberAccess } from './number-access.js';
import type { PageInfo, PageTable } from './page-table.js';
import type { PhysicalMemory } from './physical-memory.js';
import { EXECUTE, PAGE_SHIFT, PAGE_SIZE } from './protection.js';

/** What an address space needs of its machine. */
export interface AddressSpaceOwner {
  readonly memory: PhysicalMemory;
  /** Throws while a processor runs; makes the processors forget translations. */
  beforeTableChange(): void;
}

const OFFSET_MASK = BigInt(PAGE_SIZE - 1);

/** Bytes that the model reads or stores through an address space, on behalf of whoever it serves. */
export interface ModelAccess {
  readonly access: 'read' | 'write';
  readonly address: bigint;
  /** Bytes. */
  readonly size: number;
}

/**
 * Page tables of disjoint ranges. Tables are shared by reference, so that kernel space is the same in all. The read and
 * write methods are the kernel model's access: protections and rings do not stop them, demand-zero and copy-on-write happen.
 */
export class AddressSpace extends NumberAccess {
  readonly name: string;
  #tables: readonly PageTable[];
  readonly #owner: AddressSpaceOwner;
  readonly #observers = new Set<(access: ModelAccess) => void>();

  constructor(name: string, tables: readonly PageTable[], owner: AddressSpaceOwner) {
    super();
    this.name = name;
    this.#owner = owner;
    this.#tables = this.#disjoint(tables);
  }

  get tables(): readonly PageTable[] {
    return this.#tables;
  }

  /** Tells of each read and store of the model's, not of guest code's, until what is returned is disposed of. */
  observe(observer: (access: ModelAccess) => void): Disposable {
    const own = (access: ModelAccess) => observer(access);
    this.#observers.add(own);
    return { [Symbol.dispose]: () => void this.#observers.delete(own) };
  }

  /** Puts a list back that `tables` once gave; for snapshots. */
  loadTables(tables: readonly PageTable[]): void {
    this.#tables = tables;
  }

  /** Replaces all tables. */
  setTables(tables: readonly PageTable[]): void {
    const checked = this.#disjoint(tables);
    this.#owner.beforeTableChange();
    this.#tables = checked;
  }

  /** Puts `replacement` where `old` is, as a switch of the session's root entry does. */
  replaceTable(old: PageTable, replacement: PageTable): void {
    if (!this.#tables.includes(old)) {
      throw new CpuError('noSuchTable', `${this.name} has no page table ${old.name}`, {
        status: 'STATUS_INVALID_PARAMETER',
      });
    }
    this.setTables(this.#tables.map((table) => (table === old ? replacement : table)));
  }

  /** The table whose range contains `address`. */
  table(address: bigint): PageTable {
    const table = this.tableOfPage(Number(BigInt.asUintN(64, address) >> PAGE_SHIFT));
    if (table === undefined) throw this.#notCommitted(address);
    return table;
  }

  tableOfPage(page: number): PageTable | undefined {
    for (const table of this.#tables) if (page >= table.firstPage && page <= table.lastPage) return table;
    return undefined;
  }

  query(address: bigint): PageInfo {
    return (
      this.tableOfPage(Number(address >> PAGE_SHIFT))?.query(address) ?? {
        state: 'free',
        copyOnWrite: false,
        guard: false,
        service: false,
      }
    );
  }

  read(address: bigint, length: number): Uint8Array {
    for (const observer of this.#observers) observer({ access: 'read', address, size: length });
    if (this.#isInOnePage(address, length)) {
      const offset = Number(address & OFFSET_MASK);
      return this.#owner.memory
        .peek(this.#resolve(Number(address >> PAGE_SHIFT), false))
        .slice(offset, offset + length);
    }
    const bytes = new Uint8Array(this.#length(length));
    this.#eachPage(address, length, (page, offset, done, count) => {
      const frame = this.#resolve(page, false);
      bytes.set(this.#owner.memory.peek(frame).subarray(offset, offset + count), done);
    });
    return bytes;
  }

  /** All or nothing. Refuses executable pages: those change by Machine.writeCode alone. */
  write(address: bigint, bytes: Uint8Array): void {
    this.#eachPage(address, bytes.byteLength, (page) => {
      const entry = this.#tableOf(page).committed(page);
      if ((entry.permissions & EXECUTE) !== 0) {
        const at = BigInt(page) << PAGE_SHIFT;
        throw new CpuError(
          'executableWrite',
          `${this.name}: ${hex(at)} is executable; only writeCode changes it`,
          {
            status: 'STATUS_ACCESS_VIOLATION',
            address: at,
          },
        );
      }
    });
    this.store(address, bytes);
  }

  #isInOnePage(address: bigint, length: number): boolean {
    return Number.isInteger(length) && length > 0 && Number(address & OFFSET_MASK) + length <= PAGE_SIZE;
  }

  /** Writes whatever the protection; for Machine.writeCode. */
  store(address: bigint, bytes: Uint8Array): void {
    for (const observer of this.#observers) observer({ access: 'write', address, size: bytes.byteLength });
    if (this.#isInOnePage(address, bytes.byteLength)) {
      const frame = this.#resolve(Number(address >> PAGE_SHIFT), true);
      this.#owner.memory.write(frame, Number(address & OFFSET_MASK), bytes);
      return;
    }
    this.#eachPage(address, bytes.byteLength, (page) => {
      this.#resolve(page, true);
    });
    this.#eachPage(address, bytes.byteLength, (page, offset, done, count) => {
      const frame = this.#resolve(page, true);
      this.#owner.memory.write(frame, offset, bytes.subarray(done, done + count));
    });
  }

  /** Latin-1 text up to a NUL, at most `max` bytes. */
  readCString(address: bigint, max = PAGE_SIZE): string {
    let text = '';
    for (let index = 0; index < max; index++) {
      const code = this.readU8(address + BigInt(index));
      if (code === 0) break;
      text += String.fromCharCode(code);
    }
    return text;
  }

  /**
   * Lowest free address at or above `from` of `pages` pages in a row in the table that contains `from`;
   * undefined if the table is full.
   */
  findFree(from: bigint, pages: number, alignment: bigint = BigInt(PAGE_SIZE)): bigint | undefined {
    const table = this.table(from);
    const step = Number(alignment >> PAGE_SHIFT);
    let first = Math.ceil(Number(from >> PAGE_SHIFT) / step) * step;
    while (first + pages - 1 <= table.lastPage) {
      let used = first + pages - 1;
      while (used >= first && table.lookup(used) === undefined && !table.isReserved(used)) used -= 1;
      if (used < first) return BigInt(first) << PAGE_SHIFT;
      first = Math.ceil((used + 1) / step) * step;
    }
    return undefined;
  }

  #resolve(page: number, forWrite: boolean): number {
    return this.#tableOf(page).resolve(page, forWrite);
  }

  #tableOf(page: number): PageTable {
    const table = this.tableOfPage(page);
    if (table === undefined) throw this.#notCommitted(BigInt(page) << PAGE_SHIFT);
    return table;
  }

  #length(length: number): number {
    if (!Number.isSafeInteger(length) || length < 0 || length > 2 ** 32) {
      throw new CpuError('accessLength', `${length} is not a length in bytes`, {
        status: 'STATUS_INVALID_PARAMETER',
      });
    }
    return length;
  }

  #eachPage(
    address: bigint,
    length: number,
    visit: (page: number, offset: number, done: number, count: number) => void,
  ): void {
    let page = Number(address >> PAGE_SHIFT);
    let offset = Number(address & OFFSET_MASK);
    for (let done = 0; done < length; page++, offset = 0) {
      const count = Math.min(PAGE_SIZE - offset, length - done);
      visit(page, offset, done, count);
      done += count;
    }
  }

  #disjoint(tables: readonly PageTable[]): readonly PageTable[] {
    const sorted = [...tables].sort((a, b) => a.firstPage - b.firstPage);
    sorted.forEach((table, index) => {
      const next = sorted[index + 1];
      if (next !== undefined && next.firstPage <= table.lastPage) {
        throw new CpuError('overlappingTables', `${this.name}: ${table.name} and ${next.name} overlap`, {
          status: 'STATUS_CONFLICTING_ADDRESSES',
          address: next.range.start,
        });
      }
    });
    return sorted;
  }

  #notCommitted(address: bigint): CpuError {
    return new CpuError('notCommitted', `${this.name}: nothing is committed at ${hex(address)}`, {
      status: 'STATUS_NOT_COMMITTED',
      address,
      place: this.name,
    });
  }
}
