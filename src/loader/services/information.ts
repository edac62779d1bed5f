import { PAGE_SIZE } from '../../cpu/index.js';
import { ntStatus } from '../../image/index.js';
import type { ServiceCall } from '../simulated-export.js';
import type { SystemServices } from '../system-services.js';

/** SYSTEM_INFORMATION_CLASS (public native-API headers). */
const SYSTEM_BASIC_INFORMATION = 0;
const SYSTEM_MODULE_INFORMATION = 11;
const SYSTEM_HOTPATCH_INFORMATION = 69;

const STATUS_SUCCESS = 0;
const INFO_LENGTH_MISMATCH = ntStatus('STATUS_INFO_LENGTH_MISMATCH').value;
const INVALID_INFO_CLASS = ntStatus('STATUS_INVALID_INFO_CLASS').value;
/** The interface of the 2003 generation is gone since Windows 8 (windows-hotpatching.md 2.3). */
const NOT_IMPLEMENTED = ntStatus('STATUS_NOT_IMPLEMENTED').value;

/** SYSTEM_BASIC_INFORMATION, 64 bytes in 64-bit code. */
function basicInformation({ kernel, domain }: ServiceCall): Uint8Array {
  const bytes = new Uint8Array(64);
  const view = new DataView(bytes.buffer);
  view.setUint32(8, PAGE_SIZE, true);
  view.setUint32(12, kernel.machine.memory.frames, true);
  view.setBigUint64(32, domain.table.range.start, true);
  view.setBigUint64(40, domain.table.range.end - 1n, true);
  view.setBigUint64(48, (1n << BigInt(kernel.machine.processors.length)) - 1n, true);
  view.setUint8(56, kernel.machine.processors.length);
  return bytes;
}

const MODULE_SIZE = 0x128;

/** RTL_PROCESS_MODULES: a count and one RTL_PROCESS_MODULE_INFORMATION for each image of PsLoadedModuleList. Secure images are not in it. */
function moduleInformation({ kernel }: ServiceCall): Uint8Array {
  const { images } = kernel.system;
  const bytes = new Uint8Array(8 + MODULE_SIZE * images.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, images.length, true);
  for (const [i, image] of images.entries()) {
    const at = 8 + MODULE_SIZE * i;
    const path = `\\SystemRoot\\System32\\drivers\\${image.baseDllName}`;
    view.setBigUint64(at + 0x10, image.dllBase, true);
    view.setUint32(at + 0x18, image.sizeOfImage, true);
    view.setUint16(at + 0x20, i, true);
    view.setUint16(at + 0x24, image.referenceCount, true);
    view.setUint16(at + 0x26, path.lastIndexOf('\\') + 1, true);
    bytes.set(Buffer.from(path.slice(0, 255), 'latin1'), at + 0x28);
  }
  return bytes;
}

/** (SystemInformationClass, SystemInformation, Length, *ReturnLength) */
function querySystemInformation(call: ServiceCall): number {
  const kind = Number(call.argument(0));
  const [buffer, length, returnLength] = [call.argument(1), Number(call.argument(2)), call.argument(3)];
  if (kind === SYSTEM_HOTPATCH_INFORMATION) return NOT_IMPLEMENTED;
  const make = {
    [SYSTEM_BASIC_INFORMATION]: basicInformation,
    [SYSTEM_MODULE_INFORMATION]: moduleInformation,
  }[kind];
  if (make === undefined) return INVALID_INFO_CLASS;
  const bytes = make(call);
  const { addressSpace } = call.thread;
  if (returnLength !== 0n) addressSpace.writeU32(returnLength, bytes.length);
  if (length < bytes.length) return INFO_LENGTH_MISMATCH;
  addressSpace.write(buffer, bytes);
  return STATUS_SUCCESS;
}

export function defineInformationServices(services: SystemServices): void {
  services.define('NtQuerySystemInformation', querySystemInformation);
}
