import { ImageError } from '../error.js';
import { directoryOffset, type Headers, optionalHeaderStruct, readHeaders } from '../headers.js';
import { PeImage } from '../image.js';
import { SECTION_HEADER_REST, SECTION_HEADER_SIZE, SECTION_NAME_SIZE } from '../sections.js';
import { hex } from '../text.js';
import { baseName, type DumpModule, type MemoryDump } from './memory.js';

const PAGE = 0x1000;
/** No image that Windows maps is as large; a broken module list may say so. */
const LARGEST = 0x2000_0000;
const SECTOR = 0x200;

/**
 * A module of a dump as an image: every section's data are its memory, the preferred base is where it was mapped, so that
 * pointers that the loader relocated lead to the right places. Pages that the dump lacks are zero. What the image keeps
 * by file offset (signature, debug data) is not there.
 * @throws ImageError when its headers are not in the dump or are none
 */
export function imageFromMemory(dump: MemoryDump, module: DumpModule): PeImage {
  const file = baseName(module.name);
  const { size, base } = module;
  if (size <= 0 || size > LARGEST)
    throw new ImageError({
      rule: 'headers.sizeOfImage',
      place: 'module list',
      message: `a size of ${hex(size)} bytes`,
      file,
    });
  const bytes = new Uint8Array(Math.ceil(size / PAGE) * PAGE);
  for (let at = 0; at < bytes.length; at += PAGE) bytes.set(dump.read(base + BigInt(at), PAGE), at);
  const headers = readHeaders(bytes, file);
  placeAt(bytes, headers, base);
  const { numberOfSections } = headers.fileHeader;
  for (let index = 0; index < numberOfSections; index++) {
    const at = headers.sectionTableOffset + index * SECTION_HEADER_SIZE + SECTION_NAME_SIZE;
    if (at + SECTION_HEADER_REST.size > bytes.length) break;
    const view = new DataView(bytes.buffer, at);
    const field = (name: 'virtualSize' | 'virtualAddress' | 'sizeOfRawData') =>
      view.getUint32(SECTION_HEADER_REST.offsetOf(name), true);
    const virtualAddress = field('virtualAddress');
    const wanted = Math.ceil((field('virtualSize') || field('sizeOfRawData')) / SECTOR) * SECTOR;
    SECTION_HEADER_REST.write(bytes, at, {
      pointerToRawData: virtualAddress,
      sizeOfRawData: Math.max(0, Math.min(wanted, bytes.length - virtualAddress)),
    });
  }
  return new PeImage(bytes, { file });
}

function placeAt(bytes: Uint8Array, headers: Headers, base: bigint): void {
  const { pointerSize, optionalHeaderOffset } = headers;
  const at = optionalHeaderOffset + optionalHeaderStruct(pointerSize).offsetOf('imageBase');
  const view = new DataView(bytes.buffer);
  if (pointerSize === 8) view.setBigUint64(at, base, true);
  else view.setUint32(at, Number(BigInt.asUintN(32, base)), true);
  const security = directoryOffset(headers, 'security');
  if (headers.dataDirectories.length > 4) view.setBigUint64(security, 0n, true);
}
