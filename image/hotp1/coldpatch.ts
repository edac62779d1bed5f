import type { PeImage } from '../image.js';

/** Section of a coldpatch that says what it was made of; the name is public, what is in it is modelled. */
export const COLDPATCH_SECTION = '.DBG_POR';
const MAGIC = 0x4443_4c44;
const HASH_SIZE = 20;
const LONGEST = 32;
const HEADER_SIZE = 4 + 4 + 8 + HASH_SIZE + 4;
const ENTRY_SIZE = 12 + LONGEST;

/** A place of the old file that leads to an appended function now; one that serves several functions is there for each. */
export interface ColdpatchPlace {
  /** RVA of what was changed. */
  readonly rva: number;
  /** RVA of the function that it serves. */
  readonly entry: number;
  /** What the old file has there: at most 32 bytes. */
  readonly original: Uint8Array;
}

/** What a coldpatch was made of: the old file's identification, and the bytes that it changes in it. */
export interface Coldpatch {
  /** CheckSum of the old file. */
  readonly checkSum: number;
  /** PeHeaderHash2 of the old file. */
  readonly headerHash: Uint8Array;
  /** What it changes, by address. */
  readonly places: readonly ColdpatchPlace[];
}

/** The section that a coldpatch keeps this in. */
export function encodeColdpatch({ checkSum, headerHash, places }: Coldpatch): Uint8Array {
  const bytes = new Uint8Array(HEADER_SIZE + ENTRY_SIZE * places.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, 1, true);
  view.setBigUint64(8, BigInt(checkSum), true);
  bytes.set(headerHash.subarray(0, HASH_SIZE), 16);
  view.setUint32(16 + HASH_SIZE, places.length, true);
  for (const [index, { rva, entry, original }] of places.entries()) {
    const at = HEADER_SIZE + ENTRY_SIZE * index;
    view.setUint32(at, rva, true);
    view.setUint32(at + 4, entry, true);
    view.setUint32(at + 8, original.length, true);
    bytes.set(original, at + 12);
  }
  return bytes;
}

const known = new WeakMap<PeImage, { readonly found: Coldpatch | undefined }>();

/** What a coldpatch says; undefined for every other image. */
export function readColdpatch(image: PeImage): Coldpatch | undefined {
  const cached = known.get(image);
  if (cached !== undefined) return cached.found;
  const found = read(image);
  known.set(image, { found });
  return found;
}

function read(image: PeImage): Coldpatch | undefined {
  // One that was made of another says all that either changed, behind the other.
  const section = image.sections.findLast(({ name }) => name === COLDPATCH_SECTION);
  if (section === undefined || section.virtualSize < HEADER_SIZE) return undefined;
  const reader = image.readerAt(section.virtualAddress, section.virtualSize, COLDPATCH_SECTION);
  if (reader.u32At(0) !== MAGIC) return undefined;
  const count = reader.u32At(16 + HASH_SIZE);
  if (HEADER_SIZE + ENTRY_SIZE * count > section.virtualSize) return undefined;
  return {
    checkSum: reader.u32At(8),
    headerHash: Uint8Array.from(reader.bytesAt(16, HASH_SIZE)),
    places: Array.from({ length: count }, (_, index) => {
      const at = HEADER_SIZE + ENTRY_SIZE * index;
      const length = Math.min(LONGEST, reader.u32At(at + 8));
      return {
        rva: reader.u32At(at),
        entry: reader.u32At(at + 4),
        original: Uint8Array.from(reader.bytesAt(at + 12, length)),
      };
    }),
  };
}

/** Bytes at an RVA as the old file has them: what a coldpatch changed in it is taken out. */
export function originalBytes(image: PeImage, rva: number, bytes: Uint8Array): Uint8Array {
  const places = readColdpatch(image)?.places ?? [];
  if (places.length === 0) return bytes;
  const found = Uint8Array.from(bytes);
  // A Uint8Array ignores stores outside of it.
  for (const place of places)
    for (const [i, byte] of place.original.entries()) found[place.rva - rva + i] = byte;
  return found;
}
