import type { AddressSpace } from '../../cpu/index.js';
import type { LoadedImage } from '../images/index.js';
import type { FrameRegisters } from '../threads/index.js';

/** What unwinding needs of the thread. */
export interface UnwindSource {
  readonly space: AddressSpace;
  /** Bounds of the thread's stack. */
  readonly stack: { readonly base: bigint; readonly end: bigint };
  imageAt(address: bigint): LoadedImage | undefined;
}

/** Turns a frame's registers into its caller's; undefined when the stack cannot be followed further. */
export type Unwinder = (
  registers: FrameRegisters,
  source: UnwindSource,
  /** The frame stopped between two instructions; otherwise it is in a call. */
  innermost: boolean,
) => FrameRegisters | undefined;

/** The language-specific handler of a frame's function, with what RtlVirtualUnwind gives along with it. */
export interface FrameHandler {
  readonly image: LoadedImage;
  /** RVA of the function's entry in the function table. */
  readonly beginAddress: number;
  readonly establisherFrame: bigint;
  readonly handler: bigint;
  readonly handlerData: bigint;
  /** UNW_FLAG_EHANDLER, UNW_FLAG_UHANDLER. */
  readonly forExceptions: boolean;
  readonly forUnwinding: boolean;
}

export type FrameHandlerFinder = (
  registers: FrameRegisters,
  source: UnwindSource,
  innermost: boolean,
) => FrameHandler | undefined;

/** Reads a stack slot; undefined outside the thread's stack. */
export function readStack(source: UnwindSource, address: bigint, size: 4 | 8): bigint | undefined {
  const { base, end } = source.stack;
  if (address < base || address + BigInt(size) > end) return undefined;
  return size === 8 ? source.space.readU64(address) : BigInt(source.space.readU32(address));
}

/** Up to `length` bytes, fewer at the end of memory. */
export function readCode(source: UnwindSource, address: bigint, length: number): Uint8Array {
  const inPage = Math.min(length, 0x1000 - Number(address & 0xfffn));
  for (const size of [length, inPage]) {
    try {
      return source.space.read(address, size);
    } catch {
      // The next page may have no memory: take what is in this one.
    }
  }
  return new Uint8Array();
}
