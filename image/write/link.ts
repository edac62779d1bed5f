import { MACHINE_OF, POINTER_SIZE } from '../architecture.js';
import { computeCheckSum } from '../checksum.js';
import {
  DATA_DIRECTORY_SIZE,
  type DataDirectory,
  directoryIndex,
  FILE_HEADER,
  OPTIONAL_HEADER32,
  OPTIONAL_HEADER64,
  PE32_MAGIC,
  PE32_PLUS_MAGIC,
} from '../headers.js';
import { SECTION_HEADER_REST, SECTION_HEADER_SIZE, SECTION_NAME_SIZE } from '../sections.js';
import { alignUp } from '../text.js';
import {
  DIRECTORY_NAMES,
  type DirectoryName,
  IMAGE_DLLCHARACTERISTICS,
  IMAGE_FILE,
  IMAGE_FILE_MACHINE,
  IMAGE_SCN,
  IMAGE_SUBSYSTEM,
} from '../winnt.js';
import type { ImageBuilderOptions } from './builder.js';
import { baseRelocations } from './directories.js';
import type { Layout, PlacedItem } from './items.js';
import {
  appendOutputSection,
  FILE_ALIGNMENT,
  type OutputSection,
  type PlaceInput,
  place,
  SECTION_ALIGNMENT,
} from './place.js';

export interface LinkInput extends Omit<PlaceInput, 'imageBase' | 'sizeOfHeaders'> {
  readonly options: Readonly<ImageBuilderOptions>;
  /** The parts that each data directory covers, from the first to the last. */
  readonly directories: ReadonlyMap<DirectoryName, { readonly first: string; readonly last: string }>;
  readonly entryPoint: string | undefined;
}

export interface Linked {
  readonly bytes: Uint8Array;
  readonly items: readonly PlacedItem[];
  readonly layout: Layout;
}

const PE_OFFSET = 0x40;
const FILE_HEADER_AT = PE_OFFSET + 4;
const OPTIONAL_HEADER_AT = FILE_HEADER_AT + FILE_HEADER.size;
/** Room for sections that are appended later. */
const SPARE_SECTION_HEADERS = 4;

/** The preferred bases that link.exe gives: to programs and drivers, to DLLs. */
const DEFAULT_BASE = {
  4: { program: 0x400000n, dll: 0x10000000n },
  8: { program: 0x1_4000_0000n, dll: 0x1_8000_0000n },
} as const;

const WIDTH = { 4: IMAGE_FILE['32BIT_MACHINE'], 8: IMAGE_FILE.LARGE_ADDRESS_AWARE } as const;

/** Makes the file: parts into sections, relocations, directories, headers, checksum. */
export function link(input: LinkInput): Linked {
  const { options, architecture } = input;
  const pointerSize = POINTER_SIZE[architecture];
  const optional = pointerSize === 8 ? OPTIONAL_HEADER64 : OPTIONAL_HEADER32;
  const sectionTable = OPTIONAL_HEADER_AT + optional.size + DATA_DIRECTORY_SIZE * DIRECTORY_NAMES.length;
  const sizeOfHeaders = alignUp(
    sectionTable + SECTION_HEADER_SIZE * (input.sections.size + 1 + SPARE_SECTION_HEADERS),
    FILE_ALIGNMENT,
  );
  const imageBase = options.imageBase ?? DEFAULT_BASE[pointerSize][options.dll ? 'dll' : 'program'];
  const { sections, items, layout } = place({ ...input, imageBase, sizeOfHeaders });

  const directories = new Map<DirectoryName, DataDirectory>();
  for (const [name, { first, last }] of input.directories) {
    const end = items.find((item) => item.name === last);
    const virtualAddress = layout.rva(first);
    directories.set(name, { virtualAddress, size: (end?.rva ?? 0) + (end?.size ?? 0) - virtualAddress });
  }
  const relocations = baseRelocations(
    items.flatMap((item) => item.relocations.map(({ offset, type }) => ({ rva: item.rva + offset, type }))),
  );
  if (relocations.length > 0 && !options.relocationsStripped) {
    const characteristics = IMAGE_SCN.CNT_INITIALIZED_DATA | IMAGE_SCN.MEM_DISCARDABLE | IMAGE_SCN.MEM_READ;
    const { rva } = appendOutputSection(sections, '.reloc', characteristics, relocations, sizeOfHeaders);
    directories.set('baseReloc', { virtualAddress: rva, size: relocations.length });
  }

  const last = sections.at(-1);
  const bytes = new Uint8Array(
    last === undefined ? sizeOfHeaders : last.pointerToRawData + alignUp(last.data.length, FILE_ALIGNMENT),
  );
  const view = new DataView(bytes.buffer);
  const DOS_SIGNATURE = 0x5a4d;
  const NT_SIGNATURE = 0x4550;
  view.setUint16(0, DOS_SIGNATURE, true);
  view.setUint32(0x3c, PE_OFFSET, true);
  view.setUint32(PE_OFFSET, NT_SIGNATURE, true);
  writeFileHeader(bytes, input, sections.length, sectionTable - OPTIONAL_HEADER_AT);
  optional.write(bytes, OPTIONAL_HEADER_AT, {
    magic: pointerSize === 8 ? PE32_PLUS_MAGIC : PE32_MAGIC,
    majorLinkerVersion: 14,
    ...sectionTotals(sections),
    addressOfEntryPoint: input.entryPoint === undefined ? 0 : layout.rva(input.entryPoint),
    imageBase,
    sectionAlignment: SECTION_ALIGNMENT,
    fileAlignment: FILE_ALIGNMENT,
    majorOperatingSystemVersion: 10,
    majorSubsystemVersion: 10,
    sizeOfImage: alignUp(last === undefined ? sizeOfHeaders : last.rva + last.virtualSize, SECTION_ALIGNMENT),
    sizeOfHeaders,
    subsystem: IMAGE_SUBSYSTEM[options.subsystem ?? 'NATIVE'],
    dllCharacteristics: dllCharacteristics(options, pointerSize),
    sizeOfStackReserve: 0x100000n,
    sizeOfStackCommit: 0x1000n,
    sizeOfHeapReserve: 0x100000n,
    sizeOfHeapCommit: 0x1000n,
    numberOfRvaAndSizes: DIRECTORY_NAMES.length,
  });
  for (const [name, { virtualAddress, size }] of directories) {
    const at = OPTIONAL_HEADER_AT + optional.size + DATA_DIRECTORY_SIZE * directoryIndex(name);
    view.setUint32(at, virtualAddress, true);
    view.setUint32(at + 4, size, true);
  }
  for (const [i, section] of sections.entries())
    writeSection(bytes, sectionTable + SECTION_HEADER_SIZE * i, section);

  const checkSumOffset = OPTIONAL_HEADER_AT + optional.offsetOf('checkSum');
  view.setUint32(checkSumOffset, computeCheckSum(bytes, checkSumOffset), true);
  return { bytes, items, layout };
}

function writeFileHeader(
  bytes: Uint8Array,
  { architecture, options }: LinkInput,
  sections: number,
  optionalSize: number,
): void {
  FILE_HEADER.write(bytes, FILE_HEADER_AT, {
    machine: IMAGE_FILE_MACHINE[MACHINE_OF[architecture]],
    numberOfSections: sections,
    timeDateStamp: options.timeDateStamp ?? 0x5f000000,
    sizeOfOptionalHeader: optionalSize,
    characteristics:
      IMAGE_FILE.EXECUTABLE_IMAGE |
      WIDTH[POINTER_SIZE[architecture]] |
      (options.dll ? IMAGE_FILE.DLL : 0) |
      (options.relocationsStripped ? IMAGE_FILE.RELOCS_STRIPPED : 0),
  });
}

function dllCharacteristics(options: ImageBuilderOptions, pointerSize: 4 | 8): number {
  const { DYNAMIC_BASE, HIGH_ENTROPY_VA, NX_COMPAT } = IMAGE_DLLCHARACTERISTICS;
  const relocatable = options.relocationsStripped
    ? 0
    : DYNAMIC_BASE | { 4: 0, 8: HIGH_ENTROPY_VA }[pointerSize];
  return NX_COMPAT | relocatable | (options.dllCharacteristics ?? 0);
}

function sectionTotals(sections: readonly OutputSection[]) {
  const having = (flag: number) => sections.filter((section) => (section.characteristics & flag) !== 0);
  const total = (flag: number) =>
    having(flag).reduce((sum, section) => sum + alignUp(section.data.length, FILE_ALIGNMENT), 0);
  return {
    sizeOfCode: total(IMAGE_SCN.CNT_CODE),
    sizeOfInitializedData: total(IMAGE_SCN.CNT_INITIALIZED_DATA),
    baseOfCode: having(IMAGE_SCN.CNT_CODE)[0]?.rva ?? 0,
  };
}

function writeSection(bytes: Uint8Array, at: number, section: OutputSection): void {
  bytes.set(new TextEncoder().encode(section.name).subarray(0, SECTION_NAME_SIZE), at);
  SECTION_HEADER_REST.write(bytes, at + SECTION_NAME_SIZE, {
    virtualSize: section.virtualSize,
    virtualAddress: section.rva,
    sizeOfRawData: alignUp(section.data.length, FILE_ALIGNMENT),
    pointerToRawData: section.data.length === 0 ? 0 : section.pointerToRawData,
    characteristics: section.characteristics,
  });
  bytes.set(section.data, section.pointerToRawData);
}
