import { ImageError } from './error.js';
import type { ByteReader } from './reader.js';
import {
  IMAGE_REL_BASED,
  RELOCATION_SIZE,
  type Relocation,
  type RelocationList,
  RelocationListBuilder,
  sizeOfRelocation,
} from './relocation-list.js';
import type { ImageRule } from './rules.js';
import { hex } from './text.js';

/** IMAGE_BASE_RELOCATION: one 4 KB page's entries, raw: offset in bits 0-11, type in bits 12-15. */
export interface RelocationBlock {
  /** RVA of the page. */
  readonly virtualAddress: number;
  /** Bytes of the block with its header. */
  readonly sizeOfBlock: number;
  /** The entries. */
  readonly entries: Uint16Array;
}

const BLOCK_HEADER_SIZE = 8;

export function readRelocationBlocks(directory: ByteReader): RelocationBlock[] {
  const blocks: RelocationBlock[] = [];
  const slots = littleEndianWords(directory.bytes);
  let at = 0;
  while (at + BLOCK_HEADER_SIZE <= directory.length) {
    const virtualAddress = directory.u32At(at);
    const sizeOfBlock = directory.u32At(at + 4);
    if (sizeOfBlock < BLOCK_HEADER_SIZE || sizeOfBlock % 2 !== 0 || at + sizeOfBlock > directory.length) {
      throw directory.error(
        'relocations.sizeOfBlock',
        `sizeOfBlock ${hex(sizeOfBlock)} is impossible here`,
        at + 4,
      );
    }
    const entries = slots.subarray((at + BLOCK_HEADER_SIZE) / 2, (at + sizeOfBlock) / 2);
    blocks.push({ virtualAddress, sizeOfBlock, entries });
    at += sizeOfBlock;
  }
  return blocks;
}

const isLittleEndianHost = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** A copy of the bytes as 16-bit words; an odd last byte is left out. */
function littleEndianWords(bytes: Uint8Array): Uint16Array {
  const even = bytes.slice(0, bytes.length & ~1);
  const words = new Uint16Array(even.buffer, even.byteOffset, even.length / 2);
  if (!isLittleEndianHost) {
    const view = new DataView(even.buffer);
    for (const [index] of words.entries()) words[index] = view.getUint16(2 * index, true);
  }
  return words;
}

/** The relocations of all blocks in file order, ABSOLUTE padding left out. */
export function flattenRelocations(
  blocks: readonly RelocationBlock[],
  sizeOfImage: number,
  file?: string,
): RelocationList {
  const list = new RelocationListBuilder(blocks.reduce((total, { entries }) => total + entries.length, 0));
  for (const [index, block] of blocks.entries()) {
    const { virtualAddress, entries } = block;
    const fail = (rule: ImageRule, message: string, entry: number) =>
      new ImageError({
        rule,
        message,
        place: `base relocation block ${index} (page ${hex(virtualAddress)}), entry ${entry}`,
        file,
      });
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i] ?? 0;
      const value = entry >>> 12;
      if (value === IMAGE_REL_BASED.ABSOLUTE) continue;
      const rva = virtualAddress + (entry & 0xfff);
      const size = sizeOfRelocation(value);
      if (size === 0) throw fail('relocations.type', `type ${value} is none of I386, AMD64 or ARM64`, i);
      if (rva + size > sizeOfImage)
        throw fail('relocations.rva', `RVA ${hex(rva)} lies outside the image`, i);
      if (value === IMAGE_REL_BASED.HIGHADJ) {
        i++;
        if (i >= entries.length) throw fail('relocations.highAdj', 'HIGHADJ lacks its second slot', i - 1);
        list.add(rva, value, entries[i]);
      } else list.add(rva, value);
    }
  }
  return list.build();
}

/**
 * Changes a laid-out image for a load `delta` bytes above its preferred base (negative: below).
 * @param memory the image from RVA 0 on, or a window of it that begins at `windowRva`; relocations that are not wholly
 *   inside the window are left out
 */
export function applyRelocations(
  memory: Uint8Array,
  relocations: Iterable<Relocation>,
  delta: bigint,
  windowRva = 0,
): void {
  const view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
  const delta32 = Number(BigInt.asUintN(32, delta));
  for (const { rva, type, low } of relocations) {
    const at = rva - windowRva;
    if (at < 0 || at + RELOCATION_SIZE[type] > memory.length) continue;
    switch (type) {
      case 'DIR64':
        view.setBigUint64(at, BigInt.asUintN(64, view.getBigUint64(at, true) + delta), true);
        break;
      case 'HIGHLOW':
        view.setUint32(at, (view.getUint32(at, true) + delta32) >>> 0, true);
        break;
      case 'HIGH':
        view.setUint16(at, (view.getUint16(at, true) + (delta32 >>> 16)) & 0xffff, true);
        break;
      case 'LOW':
        view.setUint16(at, (view.getUint16(at, true) + delta32) & 0xffff, true);
        break;
      case 'HIGHADJ': {
        const signedLow = ((low ?? 0) << 16) >> 16;
        const full = view.getUint16(at, true) * 0x10000 + signedLow + delta32 + 0x8000;
        view.setUint16(at, Math.floor(full / 0x10000) & 0xffff, true);
        break;
      }
    }
  }
}
