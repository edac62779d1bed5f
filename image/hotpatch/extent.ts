import { POINTER_SIZE } from '../architecture.js';
import { PADDING_NEEDED } from '../entry.js';
import type { ImageArchitecture } from '../mapped-file.js';
import type { HotPatchType } from './format.js';

/** Bytes of an image. */
export interface Extent {
  /** Of the first byte. */
  readonly rva: number;
  /** In bytes. */
  readonly length: number;
}

/**
 * The bytes of the modified image that Windows locks and checks for a record; undefined for types without an extent.
 * For an ARM64 FUNCTION that is 8 bytes although 4 are written.
 */
export function recordExtent(
  architecture: ImageArchitecture,
  type: HotPatchType,
  rva: number,
): Extent | undefined {
  switch (type) {
    case 'FUNCTION':
      return { rva: rva - PADDING_NEEDED[architecture], length: 8 };
    case 'ABSOLUTE':
    case 'INDIRECT':
    case 'CALL_TARGET':
    case 'DYNAMIC_VALUE':
      return { rva, length: POINTER_SIZE[architecture] };
    case 'REL32':
      return { rva, length: 4 };
    case 'NONE':
    case 'NO_CALL_TARGET':
      return undefined;
  }
}
