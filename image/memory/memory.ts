import type { ImageArchitecture } from '../mapped-file.js';

/** A module as a dump lists it. */
export interface DumpModule {
  /** With its path, if the dump has one. */
  readonly name: string;
  /** Address of its first byte. */
  readonly base: bigint;
  /** SizeOfImage. */
  readonly size: number;
  /** Of its optional header. */
  readonly checkSum: number;
  /** Of its file header. */
  readonly timeDateStamp: number;
}

/** Memory that was taken at one moment, of a process, a kernel or a single image. */
export interface MemoryDump {
  /** The processor that it was taken from. */
  readonly architecture: ImageArchitecture;
  /** The modules that were loaded. */
  readonly modules: readonly DumpModule[];
  /** Bytes at an address; fewer than asked for where what was taken ends. */
  read(address: bigint, length: number): Uint8Array;
}

/** One stretch of memory. */
export interface MemoryRange {
  /** Of the first byte. */
  readonly address: bigint;
  /** What was there. */
  readonly bytes: Uint8Array;
}

/** `name.dll` of a path with the separators of either system. */
export function baseName(path: string): string {
  return path.replace(/^.*[\\/]/, '');
}

/** Stretches of memory that are read as one where they touch. */
export class MemoryRanges {
  readonly #ranges: readonly MemoryRange[];

  constructor(ranges: readonly MemoryRange[]) {
    this.#ranges = [...ranges].sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
  }

  /** Bytes at an address; fewer than asked for where a stretch ends. */
  read(address: bigint, length: number): Uint8Array {
    const first = this.#at(address, length);
    if (first.length === length || first.length === 0) return first;
    const parts = [first];
    let found = first.length;
    while (found < length) {
      const next = this.#at(address + BigInt(found), length - found);
      if (next.length === 0) break;
      parts.push(next);
      found += next.length;
    }
    const bytes = new Uint8Array(found);
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }

  /** A view on what one stretch has. */
  #at(address: bigint, length: number): Uint8Array {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ranges[middle]?.address ?? 0n) <= address) low = middle + 1;
      else high = middle;
    }
    const range = this.#ranges[low - 1];
    if (range === undefined) return new Uint8Array(0);
    const inside = address - range.address;
    if (inside >= BigInt(range.bytes.length)) return new Uint8Array(0);
    return range.bytes.subarray(Number(inside), Number(inside) + length);
  }
}
