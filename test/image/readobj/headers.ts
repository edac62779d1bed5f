import {
  IMAGE_DLLCHARACTERISTICS,
  IMAGE_FILE,
  IMAGE_FILE_MACHINE,
  IMAGE_SCN,
  IMAGE_SUBSYSTEM,
  type PeImage,
} from '../../../image/index.js';
import { H, type Lines, time } from './text.js';

const prefixed = (prefix: string, table: Readonly<Record<string, number>>) =>
  Object.fromEntries(Object.entries(table).map(([name, value]) => [`${prefix}${name}`, value]));

export const FILE_FLAGS = prefixed('IMAGE_FILE_', IMAGE_FILE);
export const DLL_FLAGS = prefixed('IMAGE_DLL_CHARACTERISTICS_', IMAGE_DLLCHARACTERISTICS);
export const SECTION_FLAGS = prefixed('IMAGE_SCN_', IMAGE_SCN);

/** Images with two instruction sets go by the names of their formats, whatever the machine field says. */
export function machineName(image: PeImage): string {
  const { hybrid } = image;
  const machine =
    hybrid === undefined || hybrid.kind === 'CHPE'
      ? image.fileHeader.machine
      : IMAGE_FILE_MACHINE[hybrid.kind];
  const name = Object.entries(IMAGE_FILE_MACHINE).find(([, value]) => value === machine)?.[0];
  return `IMAGE_FILE_MACHINE_${name} (${H(machine)})`;
}

export function writeFileHeaders(out: Lines, image: PeImage): void {
  const { fileHeader, optionalHeader } = image;
  out.group('ImageFileHeader', () => {
    out.field('Machine', machineName(image));
    out.field('SectionCount', fileHeader.numberOfSections);
    out.field('TimeDateStamp', time(fileHeader.timeDateStamp));
    out.hex('PointerToSymbolTable', fileHeader.pointerToSymbolTable);
    out.field('SymbolCount', fileHeader.numberOfSymbols);
    out.field('StringTableSize', 0);
    out.field('OptionalHeaderSize', fileHeader.sizeOfOptionalHeader);
    out.flags('Characteristics', fileHeader.characteristics, FILE_FLAGS);
  });
  out.group('ImageOptionalHeader', () => {
    const h = optionalHeader;
    out.hex('Magic', h.magic);
    out.field('MajorLinkerVersion', h.majorLinkerVersion);
    out.field('MinorLinkerVersion', h.minorLinkerVersion);
    out.field('SizeOfCode', h.sizeOfCode);
    out.field('SizeOfInitializedData', h.sizeOfInitializedData);
    out.field('SizeOfUninitializedData', h.sizeOfUninitializedData);
    out.hex('AddressOfEntryPoint', h.addressOfEntryPoint);
    out.hex('BaseOfCode', h.baseOfCode);
    if (h.baseOfData !== undefined) out.hex('BaseOfData', h.baseOfData);
    out.hex('ImageBase', h.imageBase);
    out.field('SectionAlignment', h.sectionAlignment);
    out.field('FileAlignment', h.fileAlignment);
    out.field('MajorOperatingSystemVersion', h.majorOperatingSystemVersion);
    out.field('MinorOperatingSystemVersion', h.minorOperatingSystemVersion);
    out.field('MajorImageVersion', h.majorImageVersion);
    out.field('MinorImageVersion', h.minorImageVersion);
    out.field('MajorSubsystemVersion', h.majorSubsystemVersion);
    out.field('MinorSubsystemVersion', h.minorSubsystemVersion);
    out.field('SizeOfImage', h.sizeOfImage);
    out.field('SizeOfHeaders', h.sizeOfHeaders);
    out.hex('CheckSum', h.checkSum);
    const subsystem = Object.entries(IMAGE_SUBSYSTEM).find(([, value]) => value === h.subsystem)?.[0];
    out.field('Subsystem', `IMAGE_SUBSYSTEM_${subsystem} (${H(h.subsystem)})`);
    out.flags('Characteristics', h.dllCharacteristics, DLL_FLAGS);
    out.field('SizeOfStackReserve', h.sizeOfStackReserve);
    out.field('SizeOfStackCommit', h.sizeOfStackCommit);
    out.field('SizeOfHeapReserve', h.sizeOfHeapReserve);
    out.field('SizeOfHeapCommit', h.sizeOfHeapCommit);
    out.field('NumberOfRvaAndSize', h.numberOfRvaAndSizes);
    out.group('DataDirectory', () => {
      for (const [i, name] of directoryNames.entries()) {
        const directory = image.headers.dataDirectories[i];
        if (directory === undefined) continue;
        out.hex(`${name}RVA`, directory.virtualAddress);
        out.hex(`${name}Size`, directory.size);
      }
    });
  });
  writeDosHeader(out, image);
}

const directoryNames = [
  'ExportTable',
  'ImportTable',
  'ResourceTable',
  'ExceptionTable',
  'CertificateTable',
  'BaseRelocationTable',
  'Debug',
  'Architecture',
  'GlobalPtr',
  'TLSTable',
  'LoadConfigTable',
  'BoundImport',
  'IAT',
  'DelayImportDescriptor',
  'CLRRuntimeHeader',
  'Reserved',
] as const;

/** Not part of the library's model, except e_lfanew: read here, so that the text can be compared whole. */
function writeDosHeader(out: Lines, image: PeImage): void {
  const view = new DataView(image.bytes.buffer, image.bytes.byteOffset);
  const names = [
    'UsedBytesInTheLastPage',
    'FileSizeInPages',
    'NumberOfRelocationItems',
    'HeaderSizeInParagraphs',
    'MinimumExtraParagraphs',
    'MaximumExtraParagraphs',
    'InitialRelativeSS',
    'InitialSP',
    'Checksum',
    'InitialIP',
    'InitialRelativeCS',
    'AddressOfRelocationTable',
    'OverlayNumber',
  ];
  out.group('DOSHeader', () => {
    out.field('Magic', 'MZ');
    for (const [i, name] of names.entries()) out.field(name, view.getUint16(2 + 2 * i, true));
    out.field('OEMid', view.getUint16(0x24, true));
    out.field('OEMinfo', view.getUint16(0x26, true));
    out.field('AddressOfNewExeHeader', image.headers.peOffset);
  });
}

export function writeSections(out: Lines, image: PeImage): void {
  out.list('Sections', () => {
    for (const section of image.sections) {
      out.group('Section', () => {
        out.field('Number', section.index + 1);
        const at = image.headers.sectionTableOffset + 40 * section.index;
        const raw = Array.from(image.bytes.subarray(at, at + 8), (b) =>
          b.toString(16).toUpperCase().padStart(2, '0'),
        );
        out.field('Name', `${section.name} (${raw.join(' ')})`);
        out.hex('VirtualSize', section.virtualSize);
        out.hex('VirtualAddress', section.virtualAddress);
        out.field('RawDataSize', section.sizeOfRawData);
        out.hex('PointerToRawData', section.pointerToRawData);
        out.hex('PointerToRelocations', section.pointerToRelocations);
        out.hex('PointerToLineNumbers', section.pointerToLinenumbers);
        out.field('RelocationCount', section.numberOfRelocations);
        out.field('LineNumberCount', section.numberOfLinenumbers);
        out.flags('Characteristics', section.characteristics, SECTION_FLAGS);
      });
    }
  });
}
