import type { ArchitectureName } from '../cpu/index.js';
import { ARCHITECTURE_OF, MACHINE_OF, machineNameOf } from './architecture.js';
import { ImageError } from './error.js';
import {
  type DataDirectory,
  directoryIndex,
  type FileHeader,
  type Headers,
  type OptionalHeader,
  readHeaders,
} from './headers.js';
import { ByteReader } from './reader.js';
import type { ImageRule } from './rules.js';
import { readSections, type Section } from './sections.js';
import { hex, latin1 } from './text.js';
import type { DirectoryName, MachineName } from './winnt.js';

/** The processors of this laboratory. */
export type ImageArchitecture = ArchitectureName;

/** Views of memory longer than this and 16 times the file are refused rather than allocated. */
const LAYOUT_LIMIT = 0x100_0000;

/** Zero bytes behind a section's file data in which a table may end. */
const ZERO_TAIL = 0x40;

/** How an image is read. */
export interface ReadImageOptions {
  /** What errors call the file. */
  file?: string;
}

/**
 * An image file with its headers and sections, seen through relative virtual addresses: what the directories are read
 * from. All RVAs are numbers, all virtual addresses bigints.
 */
export class MappedFile {
  /** Name of the file, where it was given. */
  readonly file: string | undefined;
  /** The whole file. */
  readonly bytes: Uint8Array;
  /** DOS, file and optional header, with the data directories. */
  readonly headers: Headers;
  /** The section headers in their order. */
  readonly sections: readonly Section[];

  #machine: MachineName | undefined;

  constructor(bytes: Uint8Array, options: ReadImageOptions = {}) {
    this.file = options.file;
    this.bytes = bytes;
    this.headers = readHeaders(bytes, options.file);
    this.sections = readSections(bytes, this.headers, options.file);
  }

  /** IMAGE_FILE_HEADER. */
  get fileHeader(): FileHeader {
    return this.headers.fileHeader;
  }

  /** IMAGE_OPTIONAL_HEADER of either size. */
  get optionalHeader(): OptionalHeader {
    return this.headers.optionalHeader;
  }

  /** 4 in PE32, 8 in PE32+. */
  get pointerSize(): 4 | 8 {
    return this.headers.pointerSize;
  }

  /** The processor: the name of its IMAGE_FILE_MACHINE. */
  get machine(): MachineName {
    this.#machine ??= machineNameOf(this.fileHeader.machine);
    if (this.#machine !== undefined) return this.#machine;
    throw this.error(
      'headers.machine',
      'file header +0x0',
      `machine ${hex(this.fileHeader.machine)} is unknown`,
    );
  }

  /** The processor that the image's machine field asks for. */
  get architecture(): ImageArchitecture {
    const { machine } = this;
    const architecture = ARCHITECTURE_OF[machine];
    if (architecture !== undefined) return architecture;
    const known = new Intl.ListFormat('en-GB', { type: 'disjunction' }).format(Object.values(MACHINE_OF));
    throw this.error('headers.machine', 'file header +0x0', `machine ${machine} is not ${known}`);
  }

  /** The data directory; undefined if the image has none there. `security` holds a file offset, the others an RVA. */
  directory(name: DirectoryName): DataDirectory | undefined {
    const directory = this.headers.dataDirectories[directoryIndex(name)];
    return directory === undefined || directory.virtualAddress === 0 ? undefined : directory;
  }

  /** The section that holds an RVA; undefined for headers, gaps and RVAs outside the image. */
  sectionAt(rva: number): Section | undefined {
    const { sections } = this;
    let low = 0;
    let high = sections.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const start = sections[middle]?.virtualAddress ?? 0;
      if (start <= rva) low = middle + 1;
      else high = middle;
    }
    const section = sections[low - 1];
    return section !== undefined && rva < section.virtualAddress + section.sizeInMemory ? section : undefined;
  }

  /** File offset of the byte at an RVA; undefined where memory is zero-filled or unmapped. */
  rvaToOffset(rva: number): number | undefined {
    if (rva >= 0 && rva < this.optionalHeader.sizeOfHeaders) return rva;
    const section = this.sectionAt(rva);
    if (section === undefined) return undefined;
    const inside = rva - section.virtualAddress;
    return inside < section.fileSize ? section.fileStart + inside : undefined;
  }

  /** The RVA that a file offset is mapped at; undefined if it is not mapped. */
  offsetToRva(offset: number): number | undefined {
    if (offset < this.optionalHeader.sizeOfHeaders) return offset;
    const section = this.sections.find((s) => offset >= s.fileStart && offset < s.fileStart + s.fileSize);
    return section === undefined ? undefined : section.virtualAddress + (offset - section.fileStart);
  }

  /** The RVA of a virtual address at the preferred base. */
  vaToRva(va: bigint, place: string): number {
    const rva = va - this.optionalHeader.imageBase;
    if (rva >= 0n && rva < BigInt(this.optionalHeader.sizeOfImage)) return Number(rva);
    throw this.error('rva', place, `address ${hex(va)} lies outside the image`);
  }

  /**
   * Bytes as they are in memory before relocation: file data, zeros where there is none.
   * The result may be a view on the file: do not write to it.
   */
  read(rva: number, length: number, place = `RVA ${hex(rva)}`): Uint8Array {
    const { sizeOfImage, sizeOfHeaders } = this.optionalHeader;
    if (!(rva >= 0 && length >= 0 && rva + length <= sizeOfImage)) {
      throw this.error(
        'rva',
        place,
        `RVA ${hex(rva)}, ${hex(length)} bytes: outside the image of ${hex(sizeOfImage)} bytes`,
      );
    }
    const offset = this.rvaToOffset(rva);
    if (offset !== undefined) {
      const section = this.sectionAt(rva);
      const end = rva < sizeOfHeaders ? sizeOfHeaders : (section?.fileStart ?? 0) + (section?.fileSize ?? 0);
      if (offset + length <= end) return this.bytes.subarray(offset, offset + length);
    }
    this.#bounded(length, place);
    const memory = new Uint8Array(length);
    this.#fill(memory, rva);
    return memory;
  }

  /** The whole image as mapped: sizeOfImage bytes, no relocation applied. */
  layOut(): Uint8Array {
    const { sizeOfImage } = this.optionalHeader;
    this.#bounded(sizeOfImage, 'optional header, SizeOfImage');
    const memory = new Uint8Array(sizeOfImage);
    this.#fill(memory, 0);
    return memory;
  }

  /** A reader over exactly `length` bytes of memory. */
  readerAt(rva: number, length: number, place: string): ByteReader {
    return new ByteReader(this.read(rva, length, place), place, this.file);
  }

  /** A reader over a table that takes up its place in the file; longer than the file it cannot be. */
  tableAt(rva: number, length: number, place: string): ByteReader {
    if (length > this.bytes.length) {
      throw this.error('tooMuch', place, `${hex(length)} bytes in a file of ${hex(this.bytes.length)}`);
    }
    return this.readerAt(rva, length, place);
  }

  /** A reader from an RVA to the end of its section's data, for tables that carry their own end mark. */
  readerFrom(rva: number, place: string): ByteReader {
    const { sizeOfHeaders } = this.optionalHeader;
    if (rva >= 0 && rva < sizeOfHeaders) return this.readerAt(rva, sizeOfHeaders - rva, place);
    const section = this.sectionAt(rva);
    if (section === undefined) throw this.error('rva', place, `RVA ${hex(rva)} lies in no section`);
    const inside = rva - section.virtualAddress;
    const zeros = Math.min(section.sizeInMemory - section.fileSize, ZERO_TAIL);
    const length = Math.max(section.fileSize - inside, 0) + zeros;
    const end = Math.min(rva + length, this.optionalHeader.sizeOfImage);
    return this.readerAt(rva, end - rva, place);
  }

  /** The 16-bit number at an RVA, little endian. */
  u16At(rva: number, place: string): number {
    const bytes = this.read(rva, 2, place);
    return (bytes[0] ?? 0) | ((bytes[1] ?? 0) << 8);
  }

  /** The 32-bit number at an RVA, little endian. */
  u32At(rva: number, place: string): number {
    return this.readerAt(rva, 4, place).u32At(0);
  }

  /** A virtual address in the image's own pointer size. */
  pointerAt(rva: number, place: string): bigint {
    const reader = this.readerAt(rva, this.pointerSize, place);
    return this.pointerSize === 8 ? reader.u64At(0) : BigInt(reader.u32At(0));
  }

  /** A NUL-terminated string of single-byte characters; the zeros behind a section's file data end one too. */
  cStringAt(rva: number, place: string, limit = 0x1000): string {
    const offset = this.rvaToOffset(rva);
    const section = this.sectionAt(rva);
    if (offset === undefined) {
      if (section !== undefined) return '';
      throw this.error('rva', place, `RVA ${hex(rva)} lies in no section`);
    }
    const edge =
      section === undefined ? this.optionalHeader.sizeOfHeaders : section.fileStart + section.fileSize;
    const zero = this.bytes.indexOf(0, offset);
    const end = zero < 0 ? edge : Math.min(zero, edge);
    if (end - offset > limit) {
      throw this.error('string', place, `the string at RVA ${hex(rva)} is longer than ${hex(limit)}`);
    }
    return latin1(this.bytes.subarray(offset, end));
  }

  /** An ImageError about this file. */
  error(rule: ImageRule, place: string, message: string, hint?: string): ImageError {
    return new ImageError({ rule, place, message, file: this.file, hint });
  }

  #bounded(length: number, place: string): void {
    if (length > LAYOUT_LIMIT + 16 * this.bytes.length) {
      throw this.error(
        'tooMuch',
        place,
        `${hex(length)} bytes of memory for a file of ${hex(this.bytes.length)}`,
      );
    }
  }

  #fill(memory: Uint8Array, rva: number): void {
    const end = rva + memory.length;
    const copy = (start: number, fileStart: number, fileSize: number) => {
      const from = Math.max(start, rva);
      const to = Math.min(start + fileSize, end);
      if (from < to)
        memory.set(this.bytes.subarray(fileStart + from - start, fileStart + to - start), from - rva);
    };
    copy(0, 0, this.optionalHeader.sizeOfHeaders);
    for (const section of this.sections) copy(section.virtualAddress, section.fileStart, section.fileSize);
  }
}
