import { ImageError } from './error.js';
import type { ByteReader } from './reader.js';
import { hex } from './text.js';

/** IMAGE_REL_BASED_*: the types that I386, AMD64 and ARM64 images use, plus ABSOLUTE, which pads a block. */
export const IMAGE_REL_BASED = {
  ABSOLUTE: 0,
  HIGH: 1,
  LOW: 2,
  HIGHLOW: 3,
  HIGHADJ: 4,
  DIR64: 10,
} as const;

export type RelocationType = Exclude<keyof typeof IMAGE_REL_BASED, 'ABSOLUTE'>;

/** A place that changes when the image is not loaded at its preferred base. */
export interface Relocation {
  readonly rva: number;
  readonly type: RelocationType;
  /** HIGHADJ only: the low 16 bits of the full value, kept in the slot after the entry. */
  readonly low?: number;
}

/** IMAGE_BASE_RELOCATION: one 4 KB page's entries, raw: offset in bits 0-11, type in bits 12-15. */
export interface RelocationBlock {
  readonly virtualAddress: number;
  readonly sizeOfBlock: number;
  readonly entries: Uint16Array;
}

const BLOCK_HEADER_SIZE = 8;

const typeNames: readonly (RelocationType | undefined)[] = (() => {
  const names: (RelocationType | undefined)[] = [];
  for (const [name, value] of Object.entries(IMAGE_REL_BASED)) {
    if (value !== 0) names[value] = name as RelocationType;
  }
  return names;
})();

/** Bytes that each type changes. */
export const RELOCATION_SIZE: Readonly<Record<RelocationType, number>> = {
  HIGH: 2,
  LOW: 2,
  HIGHLOW: 4,
  HIGHADJ: 2,
  DIR64: 8,
};

export function readRelocationBlocks(directory: ByteReader): RelocationBlock[] {
  const blocks: RelocationBlock[] = [];
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
    const count = (sizeOfBlock - BLOCK_HEADER_SIZE) / 2;
    const entries = new Uint16Array(count);
    const bytes = directory.bytesAt(at + BLOCK_HEADER_SIZE, 2 * count);
    for (let i = 0; i < count; i++) entries[i] = (bytes[2 * i] ?? 0) | ((bytes[2 * i + 1] ?? 0) << 8);
    blocks.push({ virtualAddress, sizeOfBlock, entries });
    at += sizeOfBlock;
  }
  return blocks;
}

/** The relocations of all blocks in file order, ABSOLUTE padding left out. */
export function flattenRelocations(
  blocks: readonly RelocationBlock[],
  sizeOfImage: number,
  file?: string,
): Relocation[] {
  const relocations: Relocation[] = [];
  const fail = (rule: string, message: string, block: number, entry: number) =>
    new ImageError({
      rule,
      message,
      place: `base relocation block ${block} (page ${hex(blocks[block]?.virtualAddress ?? 0)}), entry ${entry}`,
      file,
    });
  for (let block = 0; block < blocks.length; block++) {
    const { virtualAddress, entries } = blocks[block] as RelocationBlock;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i] ?? 0;
      const value = entry >>> 12;
      if (value === IMAGE_REL_BASED.ABSOLUTE) continue;
      const rva = virtualAddress + (entry & 0xfff);
      const type = typeNames[value];
      if (type === undefined) {
        throw fail('relocations.type', `type ${value} is none of I386, AMD64 or ARM64`, block, i);
      }
      if (rva + RELOCATION_SIZE[type] > sizeOfImage) {
        throw fail('relocations.rva', `RVA ${hex(rva)} lies outside the image`, block, i);
      }
      if (type === 'HIGHADJ') {
        i++;
        if (i >= entries.length)
          throw fail('relocations.highAdj', 'HIGHADJ lacks its second slot', block, i - 1);
        relocations.push({ rva, type, low: entries[i] ?? 0 });
      } else relocations.push({ rva, type });
    }
  }
  return relocations;
}

/**
 * Changes a laid-out image for a load `delta` bytes above its preferred base (negative: below).
 * @param memory the image from RVA 0 on, or a window of it that begins at `windowRva`; relocations that are not wholly
 *   inside the window are left out
 */
export function applyRelocations(
  memory: Uint8Array,
  relocations: readonly Relocation[],
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
