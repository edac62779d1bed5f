import { ImageError } from './error.js';
import type { Headers } from './headers.js';
import { ByteReader } from './reader.js';
import type { ImageRule } from './rules.js';
import { Struct } from './struct.js';
import { alignUp, hex } from './text.js';
import { IMAGE_SCN } from './winnt.js';

/** IMAGE_SECTION_HEADER without its eight bytes of name. */
export const SECTION_HEADER_REST = new Struct('IMAGE_SECTION_HEADER', {
  virtualSize: 'u32',
  virtualAddress: 'u32',
  sizeOfRawData: 'u32',
  pointerToRawData: 'u32',
  pointerToRelocations: 'u32',
  pointerToLinenumbers: 'u32',
  numberOfRelocations: 'u16',
  numberOfLinenumbers: 'u16',
  characteristics: 'u32',
});
export const SECTION_NAME_SIZE = 8;
export const SECTION_HEADER_SIZE = SECTION_NAME_SIZE + SECTION_HEADER_REST.size;

const PAGE_SIZE = 0x1000;
const SECTOR_SIZE = 0x200;

/** IMAGE_SECTION_HEADER and the ranges that the memory manager derives from it. */
export interface Section {
  /** In the section table, from 0. */
  readonly index: number;
  /** Eight bytes at most, or longer from the COFF string table, as GNU tools have it. */
  readonly name: string;
  /** Misc.VirtualSize: bytes that are used in memory. */
  readonly virtualSize: number;
  /** RVA. */
  readonly virtualAddress: number;
  /** Bytes in the file. */
  readonly sizeOfRawData: number;
  /** Offset in the file. */
  readonly pointerToRawData: number;
  /** Of object files; 0. */
  readonly pointerToRelocations: number;
  /** Offset of COFF line numbers in the file; 0: none. */
  readonly pointerToLinenumbers: number;
  /** Of object files; 0. */
  readonly numberOfRelocations: number;
  /** Of COFF line numbers. */
  readonly numberOfLinenumbers: number;
  /** Bits of IMAGE_SCN. */
  readonly characteristics: number;
  /** Bytes of memory that the section occupies: virtualSize (sizeOfRawData where that is 0), in pages. */
  readonly sizeInMemory: number;
  /** File offset of the first byte that is mapped. */
  readonly fileStart: number;
  /** Bytes of the file that are mapped; the rest of sizeInMemory is zero. */
  readonly fileSize: number;
}

/** Do its characteristics allow execution? */
export function isExecutable(section: Section): boolean {
  return (section.characteristics & IMAGE_SCN.MEM_EXECUTE) !== 0;
}

/** Do its characteristics allow writing? */
export function isWritable(section: Section): boolean {
  return (section.characteristics & IMAGE_SCN.MEM_WRITE) !== 0;
}

/**
 * Reads the section table. Sections must ascend without overlap inside sizeOfImage, and their raw data must be
 * inside the file: what the memory manager demands before it creates an image section.
 */
export function readSections(bytes: Uint8Array, headers: Headers, file?: string): Section[] {
  const { fileHeader, optionalHeader } = headers;
  const tableSize = fileHeader.numberOfSections * SECTION_HEADER_SIZE;
  const whole = new ByteReader(bytes, 'file', file);
  const table = whole.slice(
    headers.sectionTableOffset,
    Math.min(tableSize, Math.max(0, bytes.length - headers.sectionTableOffset)),
    'section table',
  );
  const inPages = optionalHeader.sectionAlignment >= PAGE_SIZE;
  const sections: Section[] = [];
  let end = optionalHeader.sizeOfHeaders;

  for (let index = 0; index < fileHeader.numberOfSections; index++) {
    const at = index * SECTION_HEADER_SIZE;
    const header = SECTION_HEADER_REST.read(table, at + SECTION_NAME_SIZE);
    const name = sectionName(table.bytesAt(at, SECTION_NAME_SIZE), whole, headers);
    const fail = (rule: ImageRule, field: 'virtualAddress' | 'pointerToRawData', message: string) =>
      new ImageError({
        rule,
        place: `section ${index + 1} (${name}) +${hex(SECTION_NAME_SIZE + SECTION_HEADER_REST.offsetOf(field))}`,
        message,
        file,
      });

    const unaligned = header.virtualSize === 0 ? header.sizeOfRawData : header.virtualSize;
    const sizeInMemory = inPages ? alignUp(unaligned, PAGE_SIZE) : unaligned;
    if (header.virtualAddress % optionalHeader.sectionAlignment !== 0) {
      throw fail(
        'sections.alignment',
        'virtualAddress',
        `virtualAddress ${hex(header.virtualAddress)} is not a multiple of sectionAlignment`,
      );
    }
    if (header.virtualAddress < end) {
      throw fail(
        'sections.order',
        'virtualAddress',
        `virtualAddress ${hex(header.virtualAddress)} lies before ${hex(end)}, where the part before it ends`,
      );
    }
    if (header.virtualAddress + unaligned > optionalHeader.sizeOfImage) {
      throw fail(
        'sections.sizeOfImage',
        'virtualAddress',
        `the section ends at ${hex(header.virtualAddress + unaligned)}, behind sizeOfImage ${hex(optionalHeader.sizeOfImage)}`,
      );
    }
    const hasData = header.pointerToRawData !== 0 && header.sizeOfRawData !== 0;
    // The memory manager maps from whole sectors when the image is laid out in pages.
    const fileStart = !hasData
      ? 0
      : inPages
        ? header.pointerToRawData - (header.pointerToRawData % SECTOR_SIZE)
        : header.pointerToRawData;
    const fileSize = hasData ? Math.min(header.sizeOfRawData, sizeInMemory) : 0;
    if (fileStart + fileSize > bytes.length) {
      throw fail(
        'sections.rawData',
        'pointerToRawData',
        `raw data ${hex(fileStart)}..${hex(fileStart + fileSize)} lies outside the file of ${hex(bytes.length)} bytes`,
      );
    }
    sections.push({ index, name, ...header, sizeInMemory, fileStart, fileSize });
    end = header.virtualAddress + unaligned;
  }
  return sections;
}

/** Eight bytes of UTF-8, or `/123`: an offset into the COFF string table (as GNU tools write long names). */
function sectionName(bytes: Uint8Array, whole: ByteReader, { fileHeader }: Headers): string {
  const end = bytes.indexOf(0);
  const short = new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
  if (!/^\/\d{1,7}$/.test(short) || fileHeader.pointerToSymbolTable === 0) return short;
  const COFF_SYMBOL_SIZE = 18;
  const strings = fileHeader.pointerToSymbolTable + fileHeader.numberOfSymbols * COFF_SYMBOL_SIZE;
  const at = strings + Number(short.slice(1));
  if (at >= whole.length) return short;
  const stop = whole.bytes.indexOf(0, at);
  return stop < 0 || stop - at > 256 ? short : whole.cStringAt(at);
}
