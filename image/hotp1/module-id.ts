import { FILE_HEADER, optionalHeaderStruct } from '../headers.js';
import type { PeImage } from '../image.js';
import { SECTION_HEADER_SIZE } from '../sections.js';
import { sha1 } from '../sha.js';
import { hex, hexBytes } from '../text.js';
import { readColdpatch } from './coldpatch.js';
import {
  type Hotp1,
  MODULE_ID_METHOD,
  MODULE_ID_VALUE_SIZE,
  type ModuleIdMethod,
  moduleIdMethodName,
} from './format.js';

/** Bytes of the member of the union that each method uses: a u64, and Hash160. What is behind it does not matter. */
const VALUE_SIZE = { PeChecksum: 8, PeHeaderHash2: 20 } as const;

/** How a hotpatch can name its target here. */
export type SupportedModuleIdMethod = Exclude<ModuleIdMethod, 'PeHeaderHash1' | 'PeDebugSignature'>;

export function isSupportedMethod(method: ModuleIdMethod): method is SupportedModuleIdMethod {
  return method !== 'PeHeaderHash1' && method !== 'PeDebugSignature';
}

/** `PeChecksum 0x8a97`, `PeHeaderHash2 1f2e…`: what a hotpatch knows its target by. */
export function moduleIdText({
  moduleIdMethod,
  moduleIdValue: value,
}: Pick<Hotp1, 'moduleIdMethod' | 'moduleIdValue'>): string {
  const name = moduleIdMethodName(moduleIdMethod) ?? `method ${moduleIdMethod}`;
  if (name === 'None') return 'its name only';
  if (name !== 'PeChecksum') return `${name} ${hexBytes(value)}`;
  return `${name} ${hex(new DataView(value.buffer, value.byteOffset, value.byteLength).getBigUint64(0, true))}`;
}

/** The 24 bytes of TargetModuleIdValue for an image. */
export function moduleIdValue(image: PeImage, method: SupportedModuleIdMethod): Uint8Array {
  const bytes = new Uint8Array(MODULE_ID_VALUE_SIZE);
  if (method === 'PeChecksum') bytes.set(checkSumValue(image.optionalHeader.checkSum));
  if (method === 'PeHeaderHash2') bytes.set(peHeaderHash2(image));
  return bytes;
}

function checkSumValue(checkSum: number): Uint8Array {
  const bytes = new Uint8Array(VALUE_SIZE.PeChecksum);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(checkSum), true);
  return bytes;
}

/** Is this the image that the section names? Undefined when the method is not supported. */
export function isModule(
  image: PeImage,
  { moduleIdMethod: method, moduleIdValue: value }: { moduleIdMethod: number; moduleIdValue: Uint8Array },
): boolean {
  if (method === MODULE_ID_METHOD.None) return true;
  const name = method === MODULE_ID_METHOD.PeChecksum ? 'PeChecksum' : 'PeHeaderHash2';
  const size = VALUE_SIZE[name];
  const isValue = (known: Uint8Array) =>
    known.subarray(0, size).every((byte, index) => byte === value[index]);
  if (isValue(moduleIdValue(image, name))) return true;
  // Disk and memory look alike: a coldpatch can be hotpatched as the file that it was made of (modelled).
  const coldpatch = readColdpatch(image);
  if (coldpatch === undefined) return false;
  return isValue(name === 'PeChecksum' ? checkSumValue(coldpatch.checkSum) : coldpatch.headerHash);
}

/**
 * Hash160 for PeHeaderHash2. Modelled: that the method hashes the PE headers and fills the union's 160-bit member is
 * known, over which bytes is not. Here SHA-1 over signature, file header, optional header with its directories and
 * section table; ImageBase counts as 0, because the loader changes it in memory.
 */
export function peHeaderHash2(image: PeImage): Uint8Array {
  const { headers, sections, pointerSize } = image;
  const PE_SIGNATURE = 4;
  const start = headers.fileHeaderOffset - PE_SIGNATURE;
  const end = headers.sectionTableOffset + SECTION_HEADER_SIZE * sections.length;
  const bytes = Uint8Array.from(image.bytes.subarray(start, end));
  const optional = optionalHeaderStruct(pointerSize);
  const imageBase = PE_SIGNATURE + FILE_HEADER.size + optional.offsetOf('imageBase');
  bytes.fill(0, imageBase, imageBase + pointerSize);
  return sha1(bytes);
}
