import { EXCEPTION_CODES, type ServiceCall, type SimulatedExport } from '../dispatch/index.js';
import {
  allocateMdl,
  buildForNonPagedPool,
  freeMdl,
  irpAt,
  lockPages,
  mapPages,
  mdlAt,
  unlockPages,
  unmapPages,
} from '../io/index.js';
import type { GuestMemory } from '../memory/index.js';
import type { ServiceResult } from '../threads/index.js';
import { raising } from './exceptions.js';
import { clientOf, worldOf } from './kernel-io.js';
import { defineExport } from './simulated-export.js';

const IO_READ_ACCESS = 0;
const STATUS_DATATYPE_MISALIGNMENT = EXCEPTION_CODES.STATUS_DATATYPE_MISALIGNMENT;

/** User space as the requestor may use it; undefined in a thread of the system, which has none. */
function userMemory({ thread }: ServiceCall): GuestMemory | undefined {
  if (thread.domain.kind === 'user') return thread.memory;
  for (let at = thread.onBehalfOf; at !== undefined; at = at.thread.onBehalfOf)
    if (at.thread.domain.kind === 'user') return at.thread.memory;
  return undefined;
}

/**
 * ProbeForRead checks the range alone, ProbeForWrite every page of it. What is refused is raised in the driver, whose
 * `__try` around it is the handler.
 */
function probeUser(
  call: ServiceCall,
  address: bigint,
  length: bigint,
  alignment: number,
  access: 'read' | 'write',
): ServiceResult {
  if (length === 0n) return undefined;
  const raise = (code: number, parameters: readonly bigint[] = []) =>
    raising(call, { code, flags: 0, parameters: [...parameters] }, 3);
  if (alignment > 1 && address % BigInt(alignment) !== 0n) return raise(STATUS_DATATYPE_MISALIGNMENT);
  const refused = (at: bigint) =>
    raise(EXCEPTION_CODES.STATUS_ACCESS_VIOLATION, [access === 'write' ? 1n : 0n, at]);
  const end = (call.process.domain.kind === 'user' ? call.process.domain.table.range.end : undefined) ?? 0n;
  if (address + length > end) return refused(address >= end ? address : end);
  if (access === 'read') return undefined;
  const memory = userMemory(call);
  for (let at = address; at < address + length; at = (at | 0xfffn) + 1n)
    if (memory?.allows(at, 1, 'write') !== true) return refused(at);
  return undefined;
}

/** Memory descriptor lists, and probing of what programs give (wdm.h). */
export function kernelMdl(): SimulatedExport[] {
  const map = (call: ServiceCall, address: bigint) =>
    mapPages(call.kernel.machine, worldOf(call), mdlAt(worldOf(call), address));
  return [
    defineExport('ProbeForRead', ['pointer', 'size', 'u32'], (call, address, length, alignment) =>
      probeUser(call, address, length, alignment, 'read'),
    ),
    defineExport('ProbeForWrite', ['pointer', 'size', 'u32'], (call, address, length, alignment) =>
      probeUser(call, address, length, alignment, 'write'),
    ),
    defineExport(
      'IoAllocateMdl',
      ['pointer', 'u32', 'u32', 'u32', 'pointer'],
      (call, address, length, secondary, _quota, irpAddress) => {
        const world = worldOf(call);
        const mdl = allocateMdl(world, address, length, clientOf(call));
        if (mdl === undefined) return 0n;
        if (irpAddress === 0n) return mdl.address;
        const irp = irpAt(world, irpAddress);
        if ((secondary & 0xff) === 0) irp.set('MdlAddress', mdl.address);
        else {
          let last = mdlAt(world, irp.wide('MdlAddress'));
          for (let next = last.wide('Next'); next !== 0n; next = last.wide('Next')) last = mdlAt(world, next);
          last.set('Next', mdl.address);
        }
        return mdl.address;
      },
    ),
    defineExport('IoFreeMdl', ['pointer'], (call, address) => {
      const world = worldOf(call);
      const mdl = mdlAt(world, address);
      unmapPages(world, mdl);
      freeMdl(world, mdl);
    }),
    defineExport('MmBuildMdlForNonPagedPool', ['pointer'], (call, address) =>
      buildForNonPagedPool(worldOf(call), mdlAt(worldOf(call), address)),
    ),
    defineExport('MmProbeAndLockPages', ['pointer', 'u32', 'u32'], (call, address, mode, operation) => {
      const user = (mode & 0xff) === 0 ? undefined : userMemory(call);
      const { addressSpace } = call.thread;
      const by = { addressSpace, memory: user ?? call.memory };
      const mdl = mdlAt(worldOf(call), address);
      lockPages(call.kernel.machine, mdl, by, operation === IO_READ_ACCESS ? 'read' : 'write');
    }),
    defineExport('MmUnlockPages', ['pointer'], (call, address) =>
      unlockPages(call.kernel.machine, worldOf(call), mdlAt(worldOf(call), address)),
    ),
    // (Mdl, AccessMode, CacheType, RequestedAddress, BugCheckOnFailure, Priority); into system space only (modelled)
    defineExport(
      'MmMapLockedPagesSpecifyCache',
      ['pointer', 'u32', 'u32', 'pointer', 'u32', 'u32'],
      (call, address) => map(call, address),
    ),
    defineExport('MmMapLockedPages', ['pointer', 'u32'], (call, address) => map(call, address)),
    defineExport('MmUnmapLockedPages', ['pointer', 'pointer'], (call, _base, address) =>
      unmapPages(worldOf(call), mdlAt(worldOf(call), address)),
    ),
    defineExport('MmIsAddressValid', ['pointer'], (call, address) =>
      call.memory.allows(address, 1, 'read') ? 1 : 0,
    ),
    defineExport('MmSizeOfMdl', ['pointer', 'size'], (call, address, length) => {
      const pages = (Number(address & 0xfffn) + Number(length) + 0xfff) >> 12;
      return BigInt(mdlAt(worldOf(call), 0n).size + pages * call.pointerSize);
    }),
  ];
}
