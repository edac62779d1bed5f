import type { Architecture, ArchitectureName } from '../../cpu/index.js';
import { isExecutable, isWritable } from '../../image/index.js';
import type { LoadedImage } from '../../loader/index.js';
import { symbolEnd } from '../functions.js';
import { debugFrame, stackEnd } from './debug-frame.js';

const MACHINE: Readonly<Record<ArchitectureName, number>> = { x64: 62, arm64: 183, x86: 3 };

const SHT = { PROGBITS: 1, SYMTAB: 2, STRTAB: 3, NOBITS: 8 } as const;
const SHF = { WRITE: 1, ALLOC: 2, EXECINSTR: 4 } as const;
const SYMBOL_TYPE = { function: 2, data: 1, label: 0, public: 0 } as const;

interface ElfSection {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly address: number | bigint;
  readonly size: number;
  /** Contents, of those that have them in the file. */
  readonly bytes?: Uint8Array;
  readonly link?: number;
  readonly info?: number;
  readonly entrySize?: number;
}

/**
 * What GDB needs to know of an image, as an ELF file: Debian's GDB reads neither PDB files nor ARM64 PE images. It has the
 * image's sections without their contents, every symbol, and its unwind data as DWARF. Addresses are RVAs; GDB moves them
 * to where the image is. The HPAT behind the image is a section of its own.
 */
export function symbolFile(image: LoadedImage): Uint8Array {
  const { name, pointerSize } = image.domain.architecture;
  const is64 = pointerSize === 8;
  const sections: ElfSection[] = [{ name: '', type: 0, flags: 0, address: 0, size: 0 }];
  for (const section of image.image.sections)
    sections.push({
      name: section.name,
      type: SHT.NOBITS,
      flags: SHF.ALLOC | (isExecutable(section) ? SHF.EXECINSTR : 0) | (isWritable(section) ? SHF.WRITE : 0),
      address: section.virtualAddress,
      size: section.virtualSize,
    });
  if (image.hpat !== undefined)
    sections.push({
      name: '.hpat',
      type: SHT.NOBITS,
      flags: SHF.ALLOC | SHF.EXECINSTR,
      address: image.rva(image.hpat.base),
      size: image.hpat.reserveSize,
    });
  const strings = new StringTable();
  const symbols = symbolTable(image, sections, strings, is64);
  const dwarf = debugFrame(image);
  sections.push(
    { name: '.debug_frame', type: SHT.PROGBITS, flags: 0, address: 0, size: dwarf.length, bytes: dwarf },
    {
      name: '.symtab',
      type: SHT.SYMTAB,
      flags: 0,
      address: 0,
      size: symbols.length,
      bytes: symbols,
      link: sections.length + 2,
      info: 1,
      entrySize: is64 ? 24 : 16,
    },
  );
  const stringBytes = strings.bytes();
  sections.push({
    name: '.strtab',
    type: SHT.STRTAB,
    flags: 0,
    address: 0,
    size: stringBytes.length,
    bytes: stringBytes,
  });
  const end = Math.max(...sections.map(({ address, size }) => Number(address) + size));
  return writeElf(sections, MACHINE[name], is64, { start: 0, size: end });
}

/**
 * The program that GDB takes the images for libraries of. All it has is the place that the first function of a thread
 * returns to, where a stack ends.
 */
export function programFile({ name, pointerSize, returnAddress }: Architecture): Uint8Array {
  const is64 = pointerSize === 8;
  // A caller is looked up by the byte before the return address.
  const start = returnAddress - 0x10n;
  const dwarf = stackEnd(name, start, 0x20);
  const sections: ElfSection[] = [
    { name: '', type: 0, flags: 0, address: 0, size: 0 },
    { name: '.end', type: SHT.NOBITS, flags: SHF.ALLOC | SHF.EXECINSTR, address: start, size: 0x20 },
    { name: '.debug_frame', type: SHT.PROGBITS, flags: 0, address: 0, size: dwarf.length, bytes: dwarf },
  ];
  return writeElf(sections, MACHINE[name], is64, { start, size: 0x20 });
}

function symbolTable(
  image: LoadedImage,
  sections: readonly ElfSection[],
  strings: StringTable,
  is64: boolean,
): Uint8Array {
  const writer = new Writer(is64);
  const add = (symbol: string, rva: number, size: number, type: number) => {
    const index = sections.findIndex(
      ({ address, size: length }) => rva >= address && rva < Number(address) + length,
    );
    if (index > 0) writer.symbol(strings.add(symbol), rva, size, 0x10 | type, index);
  };
  writer.symbol(0, 0, 0, 0, 0);
  for (const symbol of image.symbols.all)
    add(symbol.name, symbol.rva, symbolEnd(image, symbol) - symbol.rva, SYMBOL_TYPE[symbol.kind]);
  if (image.hpat !== undefined)
    add(`${image.moduleName}_HPAT`, image.rva(image.hpat.base), image.hpat.reserveSize, SYMBOL_TYPE.function);
  return writer.bytes();
}

function writeElf(
  sections: readonly ElfSection[],
  machine: number,
  is64: boolean,
  memory: { readonly start: number | bigint; readonly size: number },
): Uint8Array {
  const names = new StringTable();
  const all = [...sections, { name: '.shstrtab', type: SHT.STRTAB, flags: 0, address: 0, size: 0 }];
  const nameOffsets = all.map(({ name }) => names.add(name));
  const nameBytes = names.bytes();
  const contents = [...sections.map(({ bytes }) => bytes ?? new Uint8Array()), nameBytes];
  const [headerSize, programSize, sectionSize] = is64 ? [64, 56, 64] : [52, 32, 40];
  const offsets: number[] = [];
  let at = headerSize + programSize;
  for (const { length } of contents) {
    offsets.push(at);
    at += (length + 7) & ~7;
  }
  const writer = new Writer(is64);
  writer.raw([0x7f, 0x45, 0x4c, 0x46, is64 ? 2 : 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  writer.u16(3).u16(machine).u32(1).word(0).word(headerSize).word(at).u32(0);
  writer
    .u16(headerSize)
    .u16(programSize)
    .u16(1)
    .u16(sectionSize)
    .u16(all.length)
    .u16(all.length - 1);
  // PT_LOAD over the whole image, without contents.
  if (is64)
    writer.u32(1).u32(7).word(0).word(memory.start).word(memory.start).word(0).word(memory.size).word(0x1000);
  else writer.u32(1).word(0).word(memory.start).word(memory.start).u32(0).u32(memory.size).u32(7).u32(0x1000);
  for (const [index, bytes] of contents.entries()) writer.padTo(offsets[index] ?? 0).raw(bytes);
  writer.padTo(at);
  all.forEach((section, index) => {
    const { type, flags, address, link = 0, info = 0, entrySize = 0 } = section;
    const size = index === all.length - 1 ? nameBytes.length : section.size;
    writer
      .u32(nameOffsets[index] ?? 0)
      .u32(type)
      .word(flags)
      .word(address)
      .word(offsets[index] ?? 0)
      .word(size);
    writer
      .u32(link)
      .u32(info)
      .word(type === SHT.SYMTAB ? 8 : 1)
      .word(entrySize);
  });
  return writer.bytes();
}

class StringTable {
  readonly #parts: string[] = [''];
  #size = 1;

  add(text: string): number {
    if (text === '') return 0;
    const at = this.#size;
    this.#parts.push(text);
    this.#size += Buffer.byteLength(text) + 1;
    return at;
  }

  bytes(): Uint8Array {
    return new Uint8Array(Buffer.from(`${this.#parts.join('\0')}\0`));
  }
}

/** Little-endian fields, one after the other; a word is as wide as an address. */
class Writer {
  readonly #bytes: number[] = [];

  constructor(private readonly is64: boolean) {}

  raw(bytes: Iterable<number>): this {
    for (const byte of bytes) this.#bytes.push(byte);
    return this;
  }

  u16(value: number): this {
    return this.raw([value & 0xff, (value >>> 8) & 0xff]);
  }

  u32(value: number): this {
    return this.u16(value & 0xffff).u16(value >>> 16);
  }

  word(value: number | bigint): this {
    const wide = BigInt(value);
    this.u32(Number(wide & 0xffff_ffffn));
    return this.is64 ? this.u32(Number(wide >> 32n)) : this;
  }

  symbol(name: number, value: number, size: number, info: number, section: number): this {
    return this.is64
      ? this.u32(name).raw([info, 0]).u16(section).word(value).word(size)
      : this.u32(name).u32(value).u32(size).raw([info, 0]).u16(section);
  }

  padTo(length: number): this {
    while (this.#bytes.length < length) this.#bytes.push(0);
    return this;
  }

  bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}
