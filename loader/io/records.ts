import type { ImageDomain } from '../images/index.js';
import type { GuestMemory, Pool } from '../memory/index.js';
import { poolTag } from './constants.js';

/** Where records are kept. */
export interface RecordOwner {
  readonly domain: ImageDomain;
  readonly memory: GuestMemory;
  readonly pool: Pool;
  /** A page of its own for the head of the records. */
  readonly recordsAt: bigint;
}

export interface GuestRecord {
  readonly address: bigint;
  readonly kind: RecordKind;
  readonly name: string;
  readonly data: Uint8Array;
}

/** What is kept by name. The numbers lie in guest memory. */
export const RECORD_KIND = {
  device: 1,
  symbolicLink: 2,
  driver: 3,
  key: 4,
  value: 5,
  thread: 6,
  process: 7,
  shutdown: 8,
} as const;
export type RecordKind = (typeof RECORD_KIND)[keyof typeof RECORD_KIND];

/** { u64 next; u32 kind; u32 name length; u32 data length; name in UTF-16; data } */
const HEADER = 0x18;
const TAG = poolTag('ObDi');

/**
 * Named things of the kernel model as a list in guest memory, so that they are part of the machine's state: the object
 * directory and the registry. Names are compared without regard to case, as the object manager does with
 * OBJ_CASE_INSENSITIVE.
 */
export class GuestRecords {
  constructor(private readonly world: RecordOwner) {}

  find(kind: RecordKind, name: string): GuestRecord | undefined {
    const wanted = name.toUpperCase();
    for (const record of this.#all())
      if (record.kind === kind && record.name.toUpperCase() === wanted) return record;
    return undefined;
  }

  /** In the order in which they were added. */
  list(kind: RecordKind): GuestRecord[] {
    return [...this.#all()].filter((record) => record.kind === kind);
  }

  add(kind: RecordKind, name: string, data: Uint8Array): GuestRecord {
    const { memory } = this.world;
    const text = Buffer.from(name, 'utf16le');
    const size = HEADER + text.length + data.length;
    const address = this.world.pool.allocate(size, TAG, { fill: 0, quota: false });
    memory.writeU32(address + 8n, kind);
    memory.writeU32(address + 12n, text.length);
    memory.writeU32(address + 16n, data.length);
    memory.write(address + BigInt(HEADER), text);
    memory.write(address + BigInt(HEADER + text.length), data);
    memory.writeU64(this.#last(), address);
    return { address, kind, name, data };
  }

  remove({ address }: GuestRecord): void {
    const { memory } = this.world;
    let link = this.head();
    for (let at = memory.readU64(link); at !== 0n; link = at, at = memory.readU64(at)) {
      if (at !== address) continue;
      memory.writeU64(link, memory.readU64(at));
      this.world.pool.free(at, TAG);
      return;
    }
  }

  /** Removes what has the name, if anything has; then adds it. */
  replace(kind: RecordKind, name: string, data: Uint8Array): void {
    const known = this.find(kind, name);
    if (known !== undefined) this.remove(known);
    this.add(kind, name, data);
  }

  *#all(): Generator<GuestRecord> {
    const { memory } = this.world;
    for (let at = memory.readU64(this.head()); at !== 0n; at = memory.readU64(at)) {
      const nameLength = memory.readU32(at + 12n);
      const dataLength = memory.readU32(at + 16n);
      const name = memory.read(at + BigInt(HEADER), nameLength);
      yield {
        address: at,
        kind: memory.readU32(at + 8n) as RecordKind,
        name: Buffer.from(name).toString('utf16le'),
        data: memory.read(at + BigInt(HEADER + nameLength), dataLength),
      };
    }
  }

  #last(): bigint {
    const { memory } = this.world;
    let link = this.head();
    for (let at = memory.readU64(link); at !== 0n; at = memory.readU64(at)) link = at;
    return link;
  }

  /** Where the list begins. The page gets memory with the first use: a machine without devices looks as it did before there was an I/O manager. */
  head(): bigint {
    const { domain, recordsAt } = this.world;
    const { state } = domain.addressSpace.query(recordsAt);
    if (state !== 'committed') domain.table.commit(recordsAt, 1, 'PAGE_READWRITE', { demandZero: true });
    return recordsAt;
  }
}

/** An address as the data of a record. */
export function addressData(address: bigint): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, address));
  return bytes;
}

export function addressOf(record: GuestRecord): bigint {
  return Buffer.from(record.data).readBigUInt64LE();
}
