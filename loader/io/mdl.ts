import { type AddressSpace, type Machine, PAGE_SIZE } from '../../cpu/index.js';
import { hex, KernelError } from '../common/index.js';
import type { GuestMemory } from '../memory/index.js';
import { MDL_FLAGS, poolTag } from './constants.js';
import { MDL } from './layouts.js';
import { type Structure, sizeOf } from './structure.js';
import type { IoWorld } from './world.js';

export type MdlObject = Structure<Extract<keyof (typeof MDL)['fields'], string>>;

const MDL_TAG = poolTag('Mdl');
const PAGE = BigInt(PAGE_SIZE);
const LARGEST = 0x400_0000;

export const mdlAt = (world: IoWorld, address: bigint): MdlObject => world.at(MDL, address);

const pageCount = (mdl: MdlObject): number =>
  Math.ceil((mdl.get('ByteOffset') + mdl.get('ByteCount')) / PAGE_SIZE);

/** IoAllocateMdl without the IRP; undefined when there is no memory. */
export function allocateMdl(
  world: IoWorld,
  address: bigint,
  length: number,
  thread: number,
): MdlObject | undefined {
  if (length > LARGEST) return undefined;
  const pages = Math.max(1, Math.ceil((Number(address & (PAGE - 1n)) + length) / PAGE_SIZE));
  const mdl = world.allocate(MDL, MDL_TAG, pages * world.pointerSize, thread);
  if (mdl !== undefined) initializeMdl(mdl, address, length, pages);
  return mdl;
}

function initializeMdl(mdl: MdlObject, address: bigint, length: number, pages: number): void {
  mdl.set('Size', sizeOf(MDL, mdl.pointerSize) + pages * mdl.pointerSize);
  mdl.set('StartVa', address & ~(PAGE - 1n));
  mdl.set('ByteOffset', address & (PAGE - 1n));
  mdl.set('ByteCount', length);
}

/** MmBuildMdlForNonPagedPool: the pages are the kernel's own and stay. @throws GuestAccessViolation */
export function buildForNonPagedPool(world: IoWorld, mdl: MdlObject): void {
  const begin = mdl.wide('StartVa') + BigInt(mdl.get('ByteOffset'));
  world.memory.probe(begin, mdl.get('ByteCount'), 'read');
  for (const [index, frame] of resolvedFrames(world.domain.addressSpace, mdl, 'read').entries())
    setFrame(mdl, index, frame);
  mdl.set('MappedSystemVa', begin);
  mdl.set('MdlFlags', mdl.get('MdlFlags') | MDL_FLAGS.SOURCE_IS_NONPAGED_POOL);
}

/** Whose pages are locked. */
export interface LockedBy {
  readonly addressSpace: AddressSpace;
  readonly memory: GuestMemory;
}

/**
 * MmProbeAndLockPages: every page gets memory and stays where it is until it is unlocked.
 * @param by with the ring of the requestor
 * @throws GuestAccessViolation for the first page that does not allow the access; nothing is locked then
 */
export function lockPages(machine: Machine, mdl: MdlObject, by: LockedBy, access: 'read' | 'write'): void {
  const begin = mdl.wide('StartVa') + BigInt(mdl.get('ByteOffset'));
  by.memory.probe(begin, mdl.get('ByteCount'), access);
  for (const [index, frame] of resolvedFrames(by.addressSpace, mdl, access).entries()) {
    machine.memory.retain(frame);
    setFrame(mdl, index, frame);
  }
  const write = access === 'write' ? MDL_FLAGS.WRITE_OPERATION : 0;
  mdl.set('MdlFlags', mdl.get('MdlFlags') | MDL_FLAGS.PAGES_LOCKED | write);
}

function resolvedFrames(space: AddressSpace, mdl: MdlObject, access: 'read' | 'write'): number[] {
  const first = mdl.wide('StartVa');
  return Array.from({ length: pageCount(mdl) }, (_, index) => {
    const at = BigInt.asUintN(64, first + BigInt(index) * PAGE);
    return space.table(at).resolve(Number(at / PAGE), access === 'write');
  });
}

/** MmUnlockPages; a mapping into system space goes, too. */
export function unlockPages(machine: Machine, world: IoWorld, mdl: MdlObject): void {
  if ((mdl.get('MdlFlags') & MDL_FLAGS.MAPPED_TO_SYSTEM_VA) !== 0) unmapPages(world, mdl);
  if ((mdl.get('MdlFlags') & MDL_FLAGS.PAGES_LOCKED) === 0) return;
  for (const frame of framesOf(machine, mdl)) machine.memory.release(frame);
  mdl.set('MdlFlags', mdl.get('MdlFlags') & ~(MDL_FLAGS.PAGES_LOCKED | MDL_FLAGS.WRITE_OPERATION));
}

/** MmMapLockedPagesSpecifyCache in system space: a second view of the same memory. @returns its address */
export function mapPages(machine: Machine, world: IoWorld, mdl: MdlObject): bigint {
  const flags = mdl.get('MdlFlags');
  if ((flags & (MDL_FLAGS.MAPPED_TO_SYSTEM_VA | MDL_FLAGS.SOURCE_IS_NONPAGED_POOL)) !== 0)
    return mdl.wide('MappedSystemVa');
  if ((flags & MDL_FLAGS.PAGES_LOCKED) === 0)
    throw new KernelError({
      rule: 'mdlPagesNotLocked',
      status: 'STATUS_INVALID_PARAMETER',
      place: `MDL at ${hex(mdl.address)}`,
      message: `the pages of the MDL at ${hex(mdl.address)} are mapped before they are locked`,
      hint: 'MmProbeAndLockPages comes first; for pool memory MmBuildMdlForNonPagedPool',
    });
  const { domain } = world;
  const frames = framesOf(machine, mdl);
  const view = domain.pool.region.allocate(frames.length * PAGE_SIZE);
  domain.table.commit(view, frames.length, 'PAGE_READWRITE', { frames });
  mdl.set('MappedSystemVa', view + BigInt(mdl.get('ByteOffset')));
  mdl.set('MdlFlags', flags | MDL_FLAGS.MAPPED_TO_SYSTEM_VA);
  return mdl.wide('MappedSystemVa');
}

export function unmapPages(world: IoWorld, mdl: MdlObject): void {
  if ((mdl.get('MdlFlags') & MDL_FLAGS.MAPPED_TO_SYSTEM_VA) === 0) return;
  const view = mdl.wide('MappedSystemVa') & ~(PAGE - 1n);
  world.domain.table.release(view, pageCount(mdl));
  mdl.set('MdlFlags', mdl.get('MdlFlags') & ~MDL_FLAGS.MAPPED_TO_SYSTEM_VA);
  mdl.set('MappedSystemVa', 0n);
}

export function freeMdl(world: IoWorld, mdl: MdlObject): void {
  world.give(mdl.address, MDL_TAG);
}

/** PFN_NUMBERs behind the structure. */
function setFrame(mdl: MdlObject, index: number, frame: number): void {
  const at = mdl.address + BigInt(mdl.size + index * mdl.pointerSize);
  if (mdl.pointerSize === 8) mdl.memory.writeU64(at, BigInt(frame));
  else mdl.memory.writeU32(at, frame);
}

/** What the guest has made of the page numbers is checked before they are used. */
function framesOf(machine: Machine, mdl: MdlObject): number[] {
  return Array.from({ length: pageCount(mdl) }, (_, index) => {
    const at = mdl.address + BigInt(mdl.size + index * mdl.pointerSize);
    const frame = mdl.pointerSize === 8 ? Number(mdl.memory.readU64(at)) : mdl.memory.readU32(at);
    if (frame < machine.memory.frames && machine.memory.references(frame) > 0) return frame;
    throw new KernelError({
      rule: 'mdlDamaged',
      status: 'STATUS_INVALID_PARAMETER',
      place: `MDL at ${hex(mdl.address)}`,
      message: `page ${index} of the MDL at ${hex(mdl.address)} is no physical page: ${hex(frame)}`,
      hint: 'the driver has overwritten the page numbers behind the MDL',
    });
  });
}
