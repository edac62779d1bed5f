import { readFileSync } from 'node:fs';
import type { Koffi } from './koffi.js';

/**
 * Host memory in which an engine keeps the code that it has translated, in bytes; when it is full, the engine starts
 * again with an empty one. Unicorn's default of 1 GB puts the second engine out of reach of the library.
 */
export const CODE_BUFFER = 32 * 1024 * 1024;

/** How far translated code can call the library by a 32-bit displacement: what 64 engines need. */
const ROOM = 2 ** 31;
/** Libunicorn takes 21 MB. Smaller gaps hold neither it nor a code buffer. */
const SMALLEST = 16 * 1024 * 1024;

const PROT_NONE = 0;
const MAP_PRIVATE_ANONYMOUS_NORESERVE = 0x4022;

export interface Gap {
  readonly start: bigint;
  readonly size: number;
}

/**
 * Linux gives the highest free addresses first. Filling these gaps makes what is loaded next, and then all code buffers,
 * go into one gap with room for both.
 */
export function gapsAboveRoom(maps: string): Gap[] {
  const mappings = [...maps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) .*?(\S*)$/gm)].map(
    ([, start = '', end = '', name = '']) => ({ start: BigInt(`0x${start}`), end: BigInt(`0x${end}`), name }),
  );
  const gaps: Gap[] = [];
  for (let index = mappings.length - 1; index > 0; index--) {
    const above = mappings[index];
    const below = mappings[index - 1];
    // The stack grows into the gap below it, and nothing is mapped above that.
    if (above === undefined || below === undefined || above.name.startsWith('[')) continue;
    const size = Number(above.start - below.end);
    if (size >= ROOM + SMALLEST) return gaps;
    if (size >= SMALLEST) gaps.push({ start: below.end, size });
  }
  return [];
}

let isPlaced = false;

/**
 * Before libunicorn is loaded: sees to it that it lies within 2 GB of the code buffers. Translated code calls it before each
 * counted instruction; farther away the call goes through a register, and that halves the speed where it was measured
 * (docs/performance.md). Reserves addresses, no memory. Where it cannot be done, guests only run slower.
 */
export function placeLibrary(koffi: Koffi): void {
  if (isPlaced || process.platform !== 'linux') return;
  isPlaced = true;
  try {
    const parameters = ['uint64_t', 'size_t', 'int', 'int', 'int', 'int64_t'];
    const map = koffi.load(null).func('mmap', 'void *', parameters);
    for (const { start, size } of gapsAboveRoom(readFileSync('/proc/self/maps', 'latin1')))
      map(start, size, PROT_NONE, MAP_PRIVATE_ANONYMOUS_NORESERVE, -1, 0);
  } catch {
    // No /proc, or another C library.
  }
}
