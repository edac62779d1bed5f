import { FUNCTION_TABLE_ENTRY_SIZE, type FunctionTableEntry, isX64Entry } from '../../image/index.js';
import type { ImageDomain } from './image-domain.js';
import type { LoadedImage } from './loaded-image.js';

export interface FunctionEntry {
  readonly image: LoadedImage;
  /** Undefined: a leaf function, padding, or a slot of the HPAT, all of which have nothing to unwind. */
  readonly entry: FunctionTableEntry | undefined;
  /** Where the entry lies in the image's function table. */
  readonly address: bigint | undefined;
}

/**
 * What RtlLookupFunctionEntry finds for an address. Function tables are registered with the range of the HPAT and the
 * retpoline page included, so that an address there belongs to the image (docs/fidelity.md#hpat-and-trampolines).
 */
export function lookupFunctionEntry(domain: ImageDomain, address: bigint): FunctionEntry | undefined {
  const loaded = domain.imageAt(address);
  if (loaded === undefined) return undefined;
  const { functionTable } = loaded.image;
  const rva = loaded.rva(address);
  const index = functionTable.findLastIndex(({ beginAddress }) => beginAddress <= rva);
  const entry = functionTable[index];
  const directory = loaded.image.directory('exception');
  const isInside = entry !== undefined && (!isX64Entry(entry) || rva < entry.endAddress);
  if (!isInside || directory === undefined || rva >= loaded.sizeOfImage)
    return { image: loaded, entry: undefined, address: undefined };
  const size = FUNCTION_TABLE_ENTRY_SIZE[isX64Entry(entry) ? 'x64' : 'arm64'];
  return { image: loaded, entry, address: loaded.address(directory.virtualAddress + size * index) };
}
