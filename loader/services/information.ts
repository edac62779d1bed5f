import { PAGE_SIZE } from '../../cpu/index.js';
import { ntStatus } from '../../image/index.js';
import type { ServiceCall } from '../dispatch/index.js';
import type { SystemServices } from './system-services.js';

/** SYSTEM_INFORMATION_CLASS (public native-API headers). */
const SYSTEM_BASIC_INFORMATION = 0;
const SYSTEM_MODULE_INFORMATION = 11;
const SYSTEM_HOTPATCH_INFORMATION = 69;

const STATUS_SUCCESS = 0;
const INFO_LENGTH_MISMATCH = ntStatus('STATUS_INFO_LENGTH_MISMATCH').value;
const INVALID_INFO_CLASS = ntStatus('STATUS_INVALID_INFO_CLASS').value;
const DATATYPE_MISALIGNMENT = 0x8000_0002;
/** The interface of the 2003 generation is gone since Windows 8 (docs/fidelity.md#the-system-around-it). */
const NOT_IMPLEMENTED = ntStatus('STATUS_NOT_IMPLEMENTED').value;

/** SYSTEM_BASIC_INFORMATION: its pointers and its size, 64 bytes in 64-bit code and 44 in 32-bit code. */
const BASIC = {
  8: { size: 0x40, minimum: 0x20, maximum: 0x28, affinity: 0x30, processors: 0x38 },
  4: { size: 0x2c, minimum: 0x1c, maximum: 0x20, affinity: 0x24, processors: 0x28 },
} as const;
const ALLOCATION_GRANULARITY = 0x1_0000;
/** 100 ns units. */
const TIMER_RESOLUTION = 156_250;

function basicInformation({ kernel, domain, pointerSize }: ServiceCall): Uint8Array {
  const at = BASIC[pointerSize];
  const { processors, memory } = kernel.machine;
  const { start, end } = domain.table.range;
  const record = new Record(at.size, pointerSize);
  record.u32(4, TIMER_RESOLUTION);
  record.u32(8, PAGE_SIZE);
  record.u32(0x0c, memory.frames);
  record.u32(0x14, memory.frames - 1);
  record.u32(0x18, ALLOCATION_GRANULARITY);
  record.pointer(at.minimum, start);
  record.pointer(at.maximum, end - 1n);
  record.pointer(at.affinity, (1n << BigInt(processors.length)) - 1n);
  record.bytes[at.processors] = processors.length;
  return record.bytes;
}

/** RTL_PROCESS_MODULES: where the first module is, and offsets in RTL_PROCESS_MODULE_INFORMATION. */
const MODULES = {
  8: { first: 8, size: 0x128, base: 0x10, imageSize: 0x18, order: 0x20, count: 0x24, name: 0x26, path: 0x28 },
  4: { first: 4, size: 0x11c, base: 0x08, imageSize: 0x0c, order: 0x14, count: 0x18, name: 0x1a, path: 0x1c },
} as const;
const LONGEST_PATH = 255;

/** A count and one RTL_PROCESS_MODULE_INFORMATION for each image of PsLoadedModuleList. Secure images are not in it. */
function moduleInformation({ kernel, pointerSize }: ServiceCall): Uint8Array {
  const { images } = kernel.system;
  const layout = MODULES[pointerSize];
  const record = new Record(layout.first + layout.size * images.length, pointerSize);
  record.u32(0, images.length);
  for (const [index, image] of images.entries()) {
    const at = layout.first + layout.size * index;
    const path = `\\SystemRoot\\System32\\drivers\\${image.baseDllName}`;
    record.pointer(at + layout.base, image.dllBase);
    record.u32(at + layout.imageSize, image.sizeOfImage);
    record.u16(at + layout.order, index);
    record.u16(at + layout.count, image.referenceCount);
    record.u16(at + layout.name, path.lastIndexOf('\\') + 1);
    record.bytes.set(Buffer.from(path.slice(0, LONGEST_PATH), 'latin1'), at + layout.path);
  }
  return record.bytes;
}

class Record {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  constructor(
    size: number,
    private readonly pointerSize: 4 | 8,
  ) {
    this.bytes = new Uint8Array(size);
    this.#view = new DataView(this.bytes.buffer);
  }

  u16(offset: number, value: number): void {
    this.#view.setUint16(offset, value, true);
  }

  u32(offset: number, value: number): void {
    this.#view.setUint32(offset, value, true);
  }

  pointer(offset: number, value: bigint): void {
    if (this.pointerSize === 8) this.#view.setBigUint64(offset, BigInt.asUintN(64, value), true);
    else this.#view.setUint32(offset, Number(BigInt.asUintN(32, value)), true);
  }
}

const ULONG_ALIGNMENT = 3n;

/** (SystemInformationClass, SystemInformation, Length, *ReturnLength) */
function querySystemInformation(call: ServiceCall): number {
  const kind = Number(BigInt.asUintN(32, call.argument(0)));
  const [buffer, length] = [call.argument(1), Number(BigInt.asUintN(32, call.argument(2)))];
  const returnLength = call.argument(3);
  const { memory } = call;
  if (((buffer | returnLength) & ULONG_ALIGNMENT) !== 0n) return DATATYPE_MISALIGNMENT;
  if (kind === SYSTEM_HOTPATCH_INFORMATION) return NOT_IMPLEMENTED;
  const make = {
    [SYSTEM_BASIC_INFORMATION]: basicInformation,
    [SYSTEM_MODULE_INFORMATION]: moduleInformation,
  }[kind];
  if (make === undefined) return INVALID_INFO_CLASS;
  if (length > 0) memory.probe(buffer, 1, 'write');
  const bytes = make(call);
  if (returnLength !== 0n) memory.writeU32(returnLength, bytes.length);
  const fits = kind === SYSTEM_BASIC_INFORMATION ? length === bytes.length : length >= bytes.length;
  if (!fits) return INFO_LENGTH_MISMATCH;
  memory.write(buffer, bytes);
  return STATUS_SUCCESS;
}

export function defineInformationServices(services: SystemServices): void {
  services.define('NtQuerySystemInformation', querySystemInformation);
}
