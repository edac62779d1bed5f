import type { EventLog } from '../common/index.js';
import type { ImageDomain } from '../images/index.js';
import { GuestList, type GuestMemory, guestMemoryOf, type Pool } from '../memory/index.js';
import { ARENAS, RequestArenas } from './arenas.js';
import { Devices } from './devices.js';
import { UNICODE_STRING } from './layouts.js';
import { GuestRecords } from './records.js';
import { type Layout, Structure, sizeOf } from './structure.js';

/** Where the kernel model keeps what has a fixed place: the head of its records, and one page for each thread and process. */
const PLACES = {
  8: { records: 0xffffba20_00000000n, thread: 0xffffba30_00000000n, process: 0xffffba40_00000000n },
  4: { records: 0x0fff_0000n, thread: 0x7f00_0000n, process: 0x7f40_0000n },
} as const;
/** In the page of the head of the records. */
const CANCEL_SPIN_LOCK = 0x100n;
const OBJECT_SPACING = 0x1000n;
const OBJECTS = { 8: 0x10_0000n, 4: 0x400n } as const;
/** KOBJECTS of wdm.h. */
const KOBJECT_TYPE = { thread: 6, process: 3 } as const;
/** OBJECT_HEADER: PointerCount, HandleCount, … before the body of each object. */
const HEADER_SIZE = { 8: 0x30, 4: 0x18 } as const;

/** The part of an address space that drivers run in: kernel space, or the user space that 32-bit drivers share with their program. */
export class IoWorld {
  readonly records: GuestRecords;
  readonly pointerSize: 4 | 8;
  /** As drivers may use it. */
  readonly memory: GuestMemory;

  /** LIST_ENTRYs. */
  readonly lists: GuestList;
  readonly devices: Devices;
  /** Memory of requests. */
  readonly arenas: RequestArenas;

  constructor(
    readonly domain: ImageDomain,
    readonly pool: Pool,
    events: EventLog,
  ) {
    this.pointerSize = domain.architecture.pointerSize;
    this.memory = guestMemoryOf(domain);
    const recordsAt = PLACES[this.pointerSize].records;
    this.records = new GuestRecords({ domain, memory: this.memory, pool, recordsAt });
    this.lists = new GuestList(this.memory, this.pointerSize);
    this.devices = new Devices(this, events);
    this.arenas = new RequestArenas(domain.table, ARENAS[this.pointerSize]);
  }

  /** The word that is the cancel spin lock. */
  get cancelSpinLock(): bigint {
    this.records.head();
    return PLACES[this.pointerSize].records + CANCEL_SPIN_LOCK;
  }

  at<F extends string>(layout: Layout<F>, address: bigint): Structure<F> {
    return new Structure(layout, this.memory, address, this.pointerSize);
  }

  /**
   * Zeroed bytes: of a request of the thread whose id is given, in that thread's arena; otherwise in the pool.
   * 0 when there is no memory.
   */
  take(size: number, tag: number, thread?: number): bigint {
    const address = thread === undefined ? 0n : this.arenas.allocate(thread, size);
    return address === 0n ? this.pool.allocate(size, tag, { fill: 0, quota: false }) : address;
  }

  /** Gives back what {@link take} gave. */
  give(address: bigint, tag: number): void {
    if (this.arenas.owns(address)) this.arenas.free(address);
    else this.pool.free(address, tag);
  }

  /** A structure of zeroes, with `extra` bytes behind it; undefined when there is no memory. */
  allocate<F extends string>(
    layout: Layout<F>,
    tag: number,
    extra = 0,
    thread?: number,
  ): Structure<F> | undefined {
    const address = this.take(sizeOf(layout, this.pointerSize) + extra, tag, thread);
    return address === 0n ? undefined : this.at(layout, address);
  }

  /** An object with its header, which counts references: one. */
  createObject<F extends string>(
    layout: Layout<F>,
    tag: number,
    extra = 0,
    thread?: number,
  ): Structure<F> | undefined {
    const header = HEADER_SIZE[this.pointerSize];
    const size = header + sizeOf(layout, this.pointerSize) + extra;
    const address = this.take(size, tag, thread);
    if (address === 0n) return undefined;
    const object = this.at(layout, address + BigInt(header));
    this.addReferences(object.address, 1);
    return object;
  }

  freeObject(body: bigint, tag: number): void {
    this.give(body - BigInt(HEADER_SIZE[this.pointerSize]), tag);
  }

  /** OBJECT_HEADER.PointerCount, after `count` more references. */
  addReferences(body: bigint, count: number): number {
    const at = body - BigInt(HEADER_SIZE[this.pointerSize]);
    const references = (this.memory.readU32(at) + count) | 0;
    this.memory.writeU32(at, references >>> 0);
    return references;
  }

  /** The address that stands for a thread or a process: ETHREAD, EPROCESS. Their fields are nobody's business (opaque in wdm.h). */
  objectFor(kind: 'thread' | 'process', id: number): bigint {
    const base = PLACES[this.pointerSize][kind];
    const address = base + (BigInt(id >>> 2) % OBJECTS[this.pointerSize]) * OBJECT_SPACING;
    if (this.domain.addressSpace.query(address).state !== 'committed') {
      this.domain.table.commit(address, 1, 'PAGE_READWRITE', { demandZero: true });
      this.memory.writeU8(address, KOBJECT_TYPE[kind]);
    }
    return address;
  }

  /** The inverse; undefined when it stands for none. */
  idOf(kind: 'thread' | 'process', address: bigint): number | undefined {
    const base = PLACES[this.pointerSize][kind];
    const index = (address - base) / OBJECT_SPACING;
    return address >= base && index < OBJECTS[this.pointerSize] ? Number(index) * 4 : undefined;
  }

  /** Writes a UNICODE_STRING, its text in memory of its own. */
  setString(at: bigint, text: string, tag: number, thread?: number): void {
    const bytes = Buffer.from(`${text}\0`, 'utf16le');
    const buffer = this.take(bytes.length, tag, thread);
    if (buffer === 0n) return;
    this.memory.write(buffer, bytes);
    const string = this.at(UNICODE_STRING, at);
    string.set('Length', bytes.length - 2);
    string.set('MaximumLength', bytes.length);
    string.set('Buffer', buffer);
  }

  freeString(at: bigint, tag: number): void {
    const string = this.at(UNICODE_STRING, at);
    const buffer = string.wide('Buffer');
    if (buffer !== 0n) this.give(buffer, tag);
    string.set('Buffer', 0n);
  }

  readString(at: bigint): string {
    const string = this.at(UNICODE_STRING, at);
    return Buffer.from(this.memory.read(string.wide('Buffer'), string.get('Length') & ~1)).toString(
      'utf16le',
    );
  }
}
