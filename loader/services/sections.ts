import { CpuError } from '../../cpu/index.js';
import { ImageError, ntStatus } from '../../image/index.js';
import { KernelError } from '../common/index.js';
import type { ServiceCall } from '../dispatch/index.js';
import { writePointer } from '../memory/index.js';
import { FileObject, isCurrentProcess, SectionObject } from '../processes/index.js';
import type { SystemServices } from './system-services.js';

const SEC_IMAGE = 0x100_0000;
const STATUS_SUCCESS = 0;
const INVALID_HANDLE = ntStatus('STATUS_INVALID_HANDLE').value;
const INVALID_PARAMETER = ntStatus('STATUS_INVALID_PARAMETER').value;
const NOT_MAPPED_VIEW = ntStatus('STATUS_NOT_MAPPED_VIEW').value;

/** (*SectionHandle, DesiredAccess, ObjectAttributes, MaximumSize, PageProtection, AllocationAttributes, FileHandle); images only. */
function createSection(call: ServiceCall): number {
  const file = call.process.handles.get(call.argument(6), FileObject);
  if (file === undefined) return INVALID_HANDLE;
  if ((Number(call.argument(5)) & SEC_IMAGE) === 0) return INVALID_PARAMETER;
  const section = new SectionObject(file.image, { name: file.name, initialize: false });
  call.memory.probe(call.argument(0), call.pointerSize, 'write');
  const handle = BigInt(call.process.handles.open(section));
  writePointer(call.memory, call.argument(0), handle, call.pointerSize);
  return STATUS_SUCCESS;
}

/** (SectionHandle, ProcessHandle, *BaseAddress, ZeroBits, CommitSize, SectionOffset, *ViewSize, …). Imports are bound, no code runs (modelled). */
function mapView(call: ServiceCall): number {
  const section = call.process.handles.get(call.argument(0), SectionObject);
  if (section === undefined || !isCurrentProcess(call.argument(1))) return INVALID_HANDLE;
  for (const index of [2, 6]) call.memory.probe(call.argument(index), call.pointerSize, 'write');
  try {
    const options = { ...section.options, initialize: false };
    const loaded = call.kernel.loader.load(call.domain, section.image, options);
    writePointer(call.memory, call.argument(2), loaded.dllBase, call.pointerSize);
    writePointer(call.memory, call.argument(6), BigInt(loaded.sizeOfImage), call.pointerSize);
    return STATUS_SUCCESS;
  } catch (error) {
    if (error instanceof KernelError || error instanceof ImageError) return error.status.value;
    if (error instanceof CpuError && error.status !== undefined) return error.status.value;
    throw error;
  }
}

/** (ProcessHandle, BaseAddress) */
function unmapView(call: ServiceCall): number {
  if (!isCurrentProcess(call.argument(0))) return INVALID_HANDLE;
  const loaded = call.domain.images.find(({ dllBase }) => dllBase === call.argument(1));
  if (loaded === undefined) return NOT_MAPPED_VIEW;
  call.kernel.loader.unload(loaded);
  return STATUS_SUCCESS;
}

export function defineSectionServices(services: SystemServices): void {
  services.define('NtCreateSection', createSection);
  services.define('NtMapViewOfSection', mapView);
  services.define('NtUnmapViewOfSection', unmapView);
}
