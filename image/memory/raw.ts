import { ImageError } from '../error.js';
import type { ImageArchitecture } from '../mapped-file.js';
import { type DumpModule, type MemoryDump, MemoryRanges } from './memory.js';
import { PROCESSOR_ARCHITECTURE } from './minidump.js';

/** Where a stretch of memory is in a raw file. Addresses are `0x…` strings. */
export interface RawRegion {
  /** Of its first byte. */
  readonly address: string;
  /** Bytes, in memory and in the file. */
  readonly size: number;
  /** Offset in the file. */
  readonly offset: number;
  /** PAGE_*, by name. */
  readonly protection: string;
}

/** What the JSON file beside a raw memory image says at least. */
export interface RawMemoryDescription {
  /** What kind of file it is. */
  readonly format: typeof RAW_MEMORY_FORMAT;
  /** The processor. */
  readonly architecture: ImageArchitecture;
  /** The modules that were loaded. */
  readonly modules: readonly (Omit<DumpModule, 'base'> & { readonly base: string })[];
  /** Where which memory is in the file. */
  readonly regions: readonly RawRegion[];
}

/** `format` of a {@link RawMemoryDescription}. */
export const RAW_MEMORY_FORMAT = 'hotpatch-lab memory 1';

/**
 * Reads a raw memory image by the description beside it.
 * @throws ImageError `memory.description` when the description is not of this format or names bytes that are not there
 */
export function readRawMemory(
  bytes: Uint8Array,
  description: unknown,
  options: { readonly file?: string } = {},
): MemoryDump {
  const refuse = (message: string) =>
    new ImageError({ rule: 'memory.description', place: 'description', message, file: options.file });
  if (!isDescription(description)) throw refuse(`it is not of the format '${RAW_MEMORY_FORMAT}'`);
  const ranges = description.regions.map(({ address, size, offset }, index) => {
    if (!isCount(size) || !isCount(offset) || offset + size > bytes.length)
      throw refuse(`region ${index} is not in the file of ${bytes.length} bytes`);
    return { address: addressOf(address, refuse), bytes: bytes.subarray(offset, offset + size) };
  });
  const modules = description.modules.map((module) => ({ ...module, base: addressOf(module.base, refuse) }));
  const memory = new MemoryRanges(ranges);
  return {
    architecture: description.architecture,
    modules,
    read: (address, length) => memory.read(address, length),
  };
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;

function addressOf(text: unknown, refuse: (message: string) => ImageError): bigint {
  if (typeof text === 'string' && /^0x[0-9a-f]{1,16}$/i.test(text)) return BigInt(text);
  throw refuse(`'${String(text)}' is no address`);
}

function isDescription(value: unknown): value is RawMemoryDescription {
  if (typeof value !== 'object' || value === null) return false;
  const { format, architecture, modules, regions } = value as Record<string, unknown>;
  return (
    format === RAW_MEMORY_FORMAT &&
    typeof architecture === 'string' &&
    Object.hasOwn(PROCESSOR_ARCHITECTURE, architecture) &&
    Array.isArray(modules) &&
    modules.every(isModule) &&
    Array.isArray(regions) &&
    regions.every((region) => typeof region === 'object' && region !== null)
  );
}

function isModule(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { name, size, checkSum, timeDateStamp } = value as Record<string, unknown>;
  return typeof name === 'string' && [size, checkSum, timeDateStamp].every(isCount);
}
