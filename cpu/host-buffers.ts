import { CpuError } from './error.js';
import { PAGE_SIZE } from './protection.js';

/**
 * Buffers of disposed machines, by size, zeroed. A new buffer of many megabytes makes the host collect its garbage, which
 * takes far longer than everything else about a new machine.
 */
const kept = new Map<number, Uint8Array[]>();
const KEPT_PER_SIZE = 4;
/** Zeroing more than this costs more than a new buffer. */
const MOST_ZEROED = 16 * 1024 * 1024;

/** Zeroed memory at a fixed host address; the host commits it as it is touched. */
export function takeBuffer(size: number): Uint8Array {
  const reused = kept.get(size)?.pop();
  if (reused !== undefined) return reused;
  try {
    return new Uint8Array(new ArrayBuffer(size));
  } catch (cause) {
    throw new CpuError('memorySize', `the host has no ${size} bytes for physical memory`, {
      status: 'STATUS_NO_MEMORY',
      cause,
    });
  }
}

/** Gives back a buffer of which nobody but the giver knows, and of which only the first `usedPages` were written to. */
export function giveBuffer(buffer: Uint8Array, usedPages: number): void {
  const used = usedPages * PAGE_SIZE;
  const buffers = kept.get(buffer.byteLength) ?? [];
  if (used > MOST_ZEROED || buffers.length >= KEPT_PER_SIZE) return;
  buffer.fill(0, 0, used);
  buffers.push(buffer);
  kept.set(buffer.byteLength, buffers);
}
