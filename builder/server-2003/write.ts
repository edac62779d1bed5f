import type { Comparison } from '../compare.js';
import type { Redirected } from './redirect.js';

/** Within this a distance between the two images has room in 32 bits, whatever the RVAs at its ends. */
const NEAR = 1n << 30n;

/** Where the target lies for the fixups: at its preferred base, or at the hotpatch's when 32 bits do not reach that far. */
export function targetOrigin({ base, fixed }: Comparison): bigint {
  const { imageBase: target } = base.image.optionalHeader;
  const { imageBase: own } = fixed.image.optionalHeader;
  return target - own > -NEAR && target - own < NEAR ? target : own;
}

/**
 * The fixed build's file with every redirected field leading into the target, as if it lay at its origin and the hotpatch
 * at its preferred base, and without the base relocations of those fields.
 */
export function writeRedirected(comparison: Comparison, redirected: readonly Redirected[]): Uint8Array {
  const { image } = comparison.fixed;
  const bytes = image.bytes.slice();
  const view = new DataView(bytes.buffer);
  const origins = {
    target: targetOrigin(comparison),
    own: image.optionalHeader.imageBase,
  };
  const relocations = relocationEntries(view, image);
  for (const { field, to } of redirected) {
    const offset = image.rvaToOffset(field.rva);
    if (offset === undefined) throw new RangeError(`RVA 0x${field.rva.toString(16)} is not in the file`);
    const target = origins.target + BigInt(to);
    if (field.kind === 'distance') {
      view.setInt32(offset, Number(BigInt.asIntN(32, target - origins.own - BigInt(field.end))), true);
      continue;
    }
    if (image.pointerSize === 8) view.setBigUint64(offset, target, true);
    else view.setUint32(offset, Number(target), true);
    const entry = relocations.get(field.rva);
    // IMAGE_REL_BASED_ABSOLUTE: an entry that does nothing.
    if (entry !== undefined) view.setUint16(entry, 0, true);
  }
  return bytes;
}

/** File offset of the base relocation entry for each RVA. */
function relocationEntries(view: DataView, image: Comparison['fixed']['image']): Map<number, number> {
  const entries = new Map<number, number>();
  const directory = image.directory('baseReloc');
  if (directory === undefined) return entries;
  const HEADER = 8;
  for (let at = 0; at + HEADER <= directory.size; ) {
    const offset = image.rvaToOffset(directory.virtualAddress + at);
    if (offset === undefined) break;
    const page = view.getUint32(offset, true);
    const size = view.getUint32(offset + 4, true);
    for (let entry = offset + HEADER; entry < offset + size; entry += 2) {
      const value = view.getUint16(entry, true);
      if (value >>> 12 !== 0) entries.set(page + (value & 0xfff), entry);
    }
    if (size < HEADER) break;
    at += size;
  }
  return entries;
}
