import type { LoadedImage } from '../../loader/index.js';
import type { CoveredBlock } from './coverage.js';

const ENTRY_SIZE = 8;

/**
 * A drcov file, version 2 with the module table of version 2: a text head, then for each block `u32 start, u16 size,
 * u16 module`. The HPAT, which lies behind its image, counts as part of it.
 */
export function formatDrcov(images: ReadonlyMap<LoadedImage, readonly CoveredBlock[]>): Uint8Array {
  const modules = [...images.keys()].map((image, id) => {
    const size = image.sizeOfImage + (image.hpat?.reserveSize ?? 0);
    const fields = [image.dllBase, image.dllBase + BigInt(size), image.entryPoint ?? 0n].map(
      (value) => `0x${value.toString(16).padStart(16, '0')}`,
    );
    const [checkSum, timeDateStamp] = [image.checkSum, image.timeDateStamp].map(
      (value) => `0x${value.toString(16).padStart(8, '0')}`,
    );
    return `${String(id).padStart(3)}, ${fields.join(', ')}, ${checkSum}, ${timeDateStamp}, ${image.baseDllName}`;
  });
  const blocks = [...images.values()].flatMap((covered, id) => covered.map((block) => ({ ...block, id })));
  const head = [
    'DRCOV VERSION: 2',
    'DRCOV FLAVOR: drcov-64',
    `Module Table: version 2, count ${modules.length}`,
    'Columns: id, base, end, entry, checksum, timestamp, path',
    ...modules,
    `BB Table: ${blocks.length} bbs`,
    '',
  ].join('\n');
  const table = new DataView(new ArrayBuffer(blocks.length * ENTRY_SIZE));
  for (const [index, { rva, size, id }] of blocks.entries()) {
    table.setUint32(index * ENTRY_SIZE, rva, true);
    table.setUint16(index * ENTRY_SIZE + 4, size, true);
    table.setUint16(index * ENTRY_SIZE + 6, id, true);
  }
  return new Uint8Array(Buffer.concat([Buffer.from(head), new Uint8Array(table.buffer)]));
}
