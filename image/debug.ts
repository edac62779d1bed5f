import type { PeImage } from './image.js';
import { ByteReader } from './reader.js';
import { Struct } from './struct.js';
import { hex, nameOf } from './text.js';
import { IMAGE_DEBUG_TYPE } from './winnt.js';

const DEBUG_DIRECTORY = new Struct('IMAGE_DEBUG_DIRECTORY', {
  characteristics: 'u32',
  timeDateStamp: 'u32',
  majorVersion: 'u16',
  minorVersion: 'u16',
  type: 'u32',
  sizeOfData: 'u32',
  addressOfRawData: 'u32',
  pointerToRawData: 'u32',
});

/** IMAGE_DEBUG_TYPE_*, without the prefix. */
export type DebugTypeName = keyof typeof IMAGE_DEBUG_TYPE;

/** Where the symbols of an image are: matches the PDB whose GUID (and, in a full build, age) are the same. */
export interface CodeView {
  /** `RSDS` (PDB 7.0) or `NB10` (PDB 2.0, which has a 32-bit signature instead of a GUID). */
  readonly format: 'RSDS' | 'NB10';
  /** `62EF70F1-A229-B1B7-4C4C-44205044422E`; for NB10 the signature as eight hexadecimal digits. */
  readonly guid: string;
  /** How often the image was linked into this PDB. */
  readonly age: number;
  /** As the linker has written it, often with a path. */
  readonly pdbFileName: string;
}

/** IMAGE_DEBUG_DIRECTORY, and what it leads to. */
export interface DebugEntry {
  /** Reserved; 0. */
  readonly characteristics: number;
  /** Seconds since 1970, or a hash. */
  readonly timeDateStamp: number;
  /** Of the format of the data. */
  readonly majorVersion: number;
  /** Of the format of the data. */
  readonly minorVersion: number;
  /** IMAGE_DEBUG_TYPE_* by name; its number if it has none here. */
  readonly type: DebugTypeName | `0x${string}`;
  /** IMAGE_DEBUG_TYPE_* as a number. */
  readonly typeValue: number;
  /** Bytes of the data. */
  readonly sizeOfData: number;
  /** RVA; 0 if the data is not mapped. */
  readonly addressOfRawData: number;
  /** File offset. */
  readonly pointerToRawData: number;
  /** The data itself; empty when it lies outside the file. */
  readonly data: Uint8Array;
  /** Of CODEVIEW entries. */
  readonly codeView?: CodeView;
  /** Of EX_DLLCHARACTERISTICS entries: bits of IMAGE_DLLCHARACTERISTICS_EX. */
  readonly exDllCharacteristics?: number;
  /** Of REPRO entries: the hash that stands in for the time stamp; empty when the linker wrote none. */
  readonly reproHash?: Uint8Array;
}

const SIGNATURE_RSDS = 0x53445352;
const SIGNATURE_NB10 = 0x3031424e;

export function readDebugDirectory(image: PeImage): DebugEntry[] {
  const directory = image.directory('debug');
  if (directory === undefined) return [];
  const table = image.tableAt(directory.virtualAddress, directory.size, 'debug directory');
  const entries: DebugEntry[] = [];
  for (let at = 0; at + DEBUG_DIRECTORY.size <= table.length; at += DEBUG_DIRECTORY.size) {
    const { type: typeValue, ...fields } = DEBUG_DIRECTORY.read(table, at);
    const { pointerToRawData, sizeOfData } = fields;
    const data =
      pointerToRawData + sizeOfData <= image.bytes.length
        ? image.bytes.subarray(pointerToRawData, pointerToRawData + sizeOfData)
        : new Uint8Array(0);
    const type =
      (nameOf(typeValue, IMAGE_DEBUG_TYPE) as DebugTypeName | undefined) ?? (hex(typeValue) as `0x${string}`);
    const reader = new ByteReader(data, `debug entry ${entries.length} (${type})`, image.file);
    const entry = { ...fields, type, typeValue, data };
    if (typeValue === IMAGE_DEBUG_TYPE.CODEVIEW) {
      const codeView = readCodeView(reader);
      entries.push(codeView === undefined ? entry : { ...entry, codeView });
    } else if (typeValue === IMAGE_DEBUG_TYPE.EX_DLLCHARACTERISTICS && data.length >= 4) {
      entries.push({ ...entry, exDllCharacteristics: reader.u32At(0) });
    } else if (typeValue === IMAGE_DEBUG_TYPE.REPRO) {
      const length = data.length >= 4 ? Math.min(reader.u32At(0), data.length - 4) : 0;
      entries.push({ ...entry, reproHash: data.subarray(4, 4 + length) });
    } else entries.push(entry);
  }
  return entries;
}

export function exDllCharacteristics(entries: readonly DebugEntry[]): number {
  return entries.reduce((flags, entry) => flags | (entry.exDllCharacteristics ?? 0), 0);
}

function readCodeView(data: ByteReader): CodeView | undefined {
  if (data.length < 4) return undefined;
  const signature = data.u32At(0);
  if (signature === SIGNATURE_RSDS && data.length > 24) {
    return {
      format: 'RSDS',
      guid: formatGuid(data.bytesAt(4, 16)),
      age: data.u32At(20),
      pdbFileName: data.cStringAt(24, undefined, 'utf-8'),
    };
  }
  if (signature === SIGNATURE_NB10 && data.length > 16) {
    return {
      format: 'NB10',
      guid: hex(data.u32At(8), 8).slice(2).toUpperCase(),
      age: data.u32At(12),
      pdbFileName: data.cStringAt(16),
    };
  }
  return undefined;
}

/** The registry form of a GUID, without braces: the first three groups are little-endian numbers. */
export function formatGuid(bytes: Uint8Array): string {
  const digits = (indexes: readonly number[]) =>
    indexes
      .map((i) => (bytes[i] ?? 0).toString(16).padStart(2, '0'))
      .join('')
      .toUpperCase();
  return [
    [3, 2, 1, 0],
    [5, 4],
    [7, 6],
    [8, 9],
    [10, 11, 12, 13, 14, 15],
  ]
    .map(digits)
    .join('-');
}
