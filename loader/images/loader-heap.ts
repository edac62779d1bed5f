import type { AddressSpace } from '../../cpu/index.js';
import { writePointer } from '../memory/index.js';

const CHUNK = 0x10000;
const GRANULE = 16;

/** Where the loader keeps its lists in guest memory. What is given back is zeroed and used again, the newest first. */
export class LoaderHeap {
  readonly #free = new Map<number, bigint[]>();
  readonly #sizes = new Map<bigint, number>();
  #chunk = 0n;
  #used = CHUNK;

  constructor(
    private readonly space: AddressSpace,
    /** Commits so many bytes and returns their address. */
    private readonly commit: (size: number) => bigint,
  ) {}

  allocate(size: number): bigint {
    const rounded = Math.ceil(size / GRANULE) * GRANULE;
    const address = this.#free.get(rounded)?.pop() ?? this.#take(rounded);
    this.#sizes.set(address, rounded);
    return address;
  }

  free(address: bigint): void {
    const size = this.#sizes.get(address);
    if (size === undefined) return;
    this.#sizes.delete(address);
    this.space.write(address, new Uint8Array(size));
    const free = this.#free.get(size) ?? [];
    this.#free.set(size, free);
    free.push(address);
  }

  /** Writes a UNICODE_STRING at `target`; returns its buffer, which is to be freed. */
  writeString(target: bigint, text: string, pointerSize: 4 | 8): bigint {
    const bytes = Buffer.from(`${text}\0`, 'utf16le');
    const buffer = this.allocate(bytes.length);
    this.space.write(buffer, bytes);
    this.space.writeU16(target, bytes.length - 2);
    this.space.writeU16(target + 2n, bytes.length);
    writePointer(this.space, target + BigInt(pointerSize), buffer, pointerSize);
    return buffer;
  }

  #take(size: number): bigint {
    if (this.#used + size > CHUNK) {
      this.#chunk = this.commit(CHUNK);
      this.#used = 0;
    }
    const address = this.#chunk + BigInt(this.#used);
    this.#used += size;
    return address;
  }
}
