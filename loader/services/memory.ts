import { CpuError, PAGE_SIZE } from '../../cpu/index.js';
import { ntStatus } from '../../image/index.js';
import { KernelError } from '../common/index.js';
import type { ServiceCall } from '../dispatch/index.js';
import { SCP_ROUTINES } from '../images/index.js';
import {
  isWritableAndExecutable,
  PAGE_GUARD,
  pageProtection,
  protectionValue,
  readPointer,
  writePointer,
} from '../memory/index.js';
import { isCurrentProcess } from '../processes/index.js';
import type { SystemServices } from './system-services.js';

const MEM_COMMIT = 0x1000;
const MEM_RESERVE = 0x2000;
const MEM_DECOMMIT = 0x4000;
const MEM_RELEASE = 0x8000;
const STATUS_SUCCESS = 0;
/** STATUS_INVALID_PARAMETER_n: the nth argument (ntstatus.h). */
const INVALID_PARAMETER_2 = 0xc000_00f0;
const INVALID_PARAMETER_3 = 0xc000_00f1;
const INVALID_PARAMETER_4 = 0xc000_00f2;
const INVALID_PARAMETER_5 = 0xc000_00f3;
const MEMORY_NOT_ALLOCATED = 0xc000_00a0;
const COMMITMENT_LIMIT = 0xc000_012d;
const UNABLE_TO_DELETE_SECTION = 0xc000_001b;
/** MEM_COMMIT, MEM_RESERVE, MEM_TOP_DOWN. */
const ALLOCATION_TYPES = 0x10_3000;
const INVALID_HANDLE = ntStatus('STATUS_INVALID_HANDLE').value;
const CONFLICTING_ADDRESSES = ntStatus('STATUS_CONFLICTING_ADDRESSES').value;
const INVALID_PAGE_PROTECTION = ntStatus('STATUS_INVALID_PAGE_PROTECTION').value;
/** Of a process that may not make code: nothing here may be writable and executable at once. */
const DYNAMIC_CODE_BLOCKED = 0xc000_0604;
const NOT_COMMITTED = 0xc000_002d;

interface Range {
  readonly base: bigint;
  readonly size: bigint;
  readonly pages: number;
  /** The address is none of user space. */
  readonly isOutside: boolean;
  /** It ends beyond user space. */
  readonly isTooLarge: boolean;
}

/** Whole pages around a range that two variables of the caller hold; both are updated to it. */
function roundToPages(call: ServiceCall, baseAt: bigint, sizeAt: bigint): Range {
  const { memory } = call;
  const address = readPointer(memory, baseAt, call.pointerSize);
  const size = readPointer(memory, sizeAt, call.pointerSize);
  // Both are written at the end: what cannot be is found before anything is done.
  memory.probe(baseAt, call.pointerSize, 'write');
  memory.probe(sizeAt, call.pointerSize, 'write');
  const base = address - (address % BigInt(PAGE_SIZE));
  const pages = Number((address + size - base + BigInt(PAGE_SIZE - 1)) / BigInt(PAGE_SIZE));
  const { range } = call.domain.table;
  const isOutside = address >= range.end || (base !== 0n && base < range.start);
  return { base, size, pages, isOutside, isTooLarge: address + size > range.end };
}

/** Views of images, with what is reserved behind them, are the loader's. */
function meetsImage({ domain }: ServiceCall, base: bigint, count: number): boolean {
  const end = base + BigInt(count * PAGE_SIZE);
  return domain.images.some(({ dllBase, viewEnd }) => base < viewEnd && end > dllBase);
}

function report(call: ServiceCall, baseAt: bigint, sizeAt: bigint, base: bigint, pages: number): number {
  writePointer(call.memory, baseAt, base, call.pointerSize);
  writePointer(call.memory, sizeAt, BigInt(pages * PAGE_SIZE), call.pointerSize);
  return STATUS_SUCCESS;
}

/** (ProcessHandle, *BaseAddress, ZeroBits, *RegionSize, AllocationType, Protect) */
function allocate(call: ServiceCall): number {
  const [baseAt, sizeAt] = [call.argument(1), call.argument(3)];
  const [type, protect] = [Number(call.argument(4)), Number(call.argument(5))];
  if (!isCurrentProcess(call.argument(0))) return INVALID_HANDLE;
  const protection = pageProtection(protect);
  if (protection === undefined) return INVALID_PAGE_PROTECTION;
  if (isWritableAndExecutable(protection)) return DYNAMIC_CODE_BLOCKED;
  if ((type & (MEM_COMMIT | MEM_RESERVE)) === 0 || (type & ~ALLOCATION_TYPES) !== 0)
    return INVALID_PARAMETER_5;
  const { table, pool, machine } = call.domain;
  const wanted = roundToPages(call, baseAt, sizeAt);
  if (wanted.isOutside) return INVALID_PARAMETER_2;
  if (wanted.size === 0n || wanted.isTooLarge) return INVALID_PARAMETER_4;
  // More than four times the physical memory is more than this machine could ever page (modelled).
  if (wanted.pages > 4 * machine.memory.frames) return COMMITMENT_LIMIT;
  let base = wanted.base;
  if (meetsImage(call, base, wanted.pages)) return CONFLICTING_ADDRESSES;
  try {
    if (base === 0n) base = pool.region.allocate(wanted.pages * PAGE_SIZE);
    if ((type & MEM_COMMIT) === 0) table.reserve(base, wanted.pages);
    else
      table.commit(base, wanted.pages, protection, {
        demandZero: true,
        guard: (protect & PAGE_GUARD) !== 0,
      });
  } catch (error) {
    if (error instanceof KernelError) return error.status.value;
    if (error instanceof CpuError) return error.status?.value ?? CONFLICTING_ADDRESSES;
    throw error;
  }
  return report(call, baseAt, sizeAt, base, wanted.pages);
}

/** (ProcessHandle, *BaseAddress, *RegionSize, FreeType) */
function free(call: ServiceCall): number {
  const [baseAt, sizeAt, type] = [call.argument(1), call.argument(2), Number(call.argument(3))];
  if (!isCurrentProcess(call.argument(0))) return INVALID_HANDLE;
  const { base, pages, isOutside, isTooLarge } = roundToPages(call, baseAt, sizeAt);
  const { table } = call.domain;
  if (isOutside || base < table.range.start) return INVALID_PARAMETER_2;
  if (isTooLarge) return INVALID_PARAMETER_3;
  if (type !== MEM_RELEASE && type !== MEM_DECOMMIT) return INVALID_PARAMETER_4;
  if (table.query(base).state === 'free') return MEMORY_NOT_ALLOCATED;
  // The size 0 releases a whole region; regions end where the next free page is.
  let count = pages;
  if (count === 0) while (table.query(base + BigInt(count * PAGE_SIZE)).state !== 'free') count += 1;
  // Views of images and the simulated exports are not private memory.
  if (meetsImage(call, base, count) || table.query(base).service) return UNABLE_TO_DELETE_SECTION;
  if (type === MEM_RELEASE) table.release(base, count);
  else table.decommit(base, count);
  return report(call, baseAt, sizeAt, base, count);
}

/** (ProcessHandle, *BaseAddress, *RegionSize, NewProtect, *OldProtect) */
function protect(call: ServiceCall): number {
  const [baseAt, sizeAt, oldAt] = [call.argument(1), call.argument(2), call.argument(4)];
  if (!isCurrentProcess(call.argument(0))) return INVALID_HANDLE;
  const protection = pageProtection(Number(call.argument(3)));
  if (protection === undefined) return INVALID_PAGE_PROTECTION;
  if (isWritableAndExecutable(protection)) return DYNAMIC_CODE_BLOCKED;
  const { base, size, pages, isOutside, isTooLarge } = roundToPages(call, baseAt, sizeAt);
  const { table } = call.domain;
  if (isOutside || base < table.range.start) return INVALID_PARAMETER_2;
  if (size === 0n || isTooLarge) return INVALID_PARAMETER_3;
  call.memory.probe(oldAt, 4, 'write');
  const before = table.query(base).protection;
  const isExtension = (at: bigint) => call.domain.imageAt(at)?.isExtension(at) === true;
  for (let at = base; at < base + BigInt(pages * PAGE_SIZE); at += BigInt(PAGE_SIZE))
    if (table.query(at).state !== 'committed' || isExtension(at)) return NOT_COMMITTED;
  table.protect(base, pages, protection, { guard: (Number(call.argument(3)) & PAGE_GUARD) !== 0 });
  if (before !== undefined) call.memory.writeU32(oldAt, protectionValue(before));
  return report(call, baseAt, sizeAt, base, pages);
}

/** MEMORY_BASIC_INFORMATION (winnt.h): State, and Type of private memory, images and mappings. */
const STATE = { committed: 0x1000, reserved: 0x2000, free: 0x10000 } as const;
const MEM_PRIVATE = 0x20000;
const MEM_IMAGE = 0x100_0000;
const PAGE_NOACCESS = 1;
const MEMORY_BASIC_INFORMATION = 0;
const MEMORY_SPECULATION_CONTROL = 0x0e;
/** STATUS_INVALID_ADDRESS (ntstatus.h): the address is in no such view; modelled. */
const INVALID_ADDRESS = 0xc000_0141;
const LONGEST_RUN = 0x1000;

/** The pages around an address that are alike. */
function basicInformation({ domain, pointerSize }: ServiceCall, address: bigint): Uint8Array {
  const { table } = domain;
  const page = BigInt(PAGE_SIZE);
  const base = address - (address % page);
  const inside = (at: bigint) => at >= table.range.start && at < table.range.end;
  const kindOf = (at: bigint) => {
    const { state, protection, guard } = table.query(at);
    return `${state} ${protection} ${guard} ${domain.imageAt(at)?.dllBase}`;
  };
  const kind = kindOf(base);
  let end = base + page;
  for (let count = 1; count < LONGEST_RUN && inside(end) && kindOf(end) === kind; count++) end += page;
  const { state, protection, guard } = table.query(base);
  const image = domain.imageAt(base);
  const value = protection === undefined ? 0 : protectionValue(protection) | (guard ? PAGE_GUARD : 0);
  const bytes = new Uint8Array(pointerSize === 8 ? 48 : 28);
  const view = new DataView(bytes.buffer);
  const pointer = (index: number, given: bigint) =>
    pointerSize === 8
      ? view.setBigUint64(index * 8, given, true)
      : view.setUint32(index * 4, Number(given), true);
  const rest = pointerSize === 8 ? 32 : 16;
  pointer(0, base);
  pointer(1, state === 'free' ? 0n : (image?.dllBase ?? base));
  view.setUint32(2 * pointerSize, value, true);
  pointer(3, end - base);
  view.setUint32(rest, STATE[state], true);
  view.setUint32(rest + 4, state === 'free' ? PAGE_NOACCESS : value, true);
  view.setUint32(rest + 8, state === 'free' ? 0 : image === undefined ? MEM_PRIVATE : MEM_IMAGE, true);
  return bytes;
}

/**
 * MemoryInformationClass 0x0E of build 26100: { pointer, offset of the SCP page in the view, its size }. That is what one
 * public write-up says; that the pointer is the dispatch routine in the page is modelled.
 */
function speculationControlInformation(
  { domain, pointerSize }: ServiceCall,
  address: bigint,
): Uint8Array | undefined {
  const image = domain.images.find((each) => each.contains(address));
  const page = image?.speculationControlPage;
  if (image === undefined || page === undefined) return undefined;
  const bytes = new Uint8Array(2 * 8);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, page + BigInt(SCP_ROUTINES.guardDispatch), true);
  view.setUint32(pointerSize, Number(page - image.dllBase), true);
  view.setUint32(pointerSize + 4, PAGE_SIZE, true);
  return bytes.subarray(0, pointerSize + 8);
}

/** (ProcessHandle, BaseAddress, MemoryInformationClass, *MemoryInformation, Length, *ReturnLength) */
function query(call: ServiceCall): number {
  if (!isCurrentProcess(call.argument(0))) return INVALID_HANDLE;
  const infoClass = Number(BigInt.asUintN(32, call.argument(2)));
  const isSpeculationControl =
    infoClass === MEMORY_SPECULATION_CONTROL && call.kernel.speculationControlPages;
  if (infoClass !== MEMORY_BASIC_INFORMATION && !isSpeculationControl)
    return ntStatus('STATUS_INVALID_INFO_CLASS').value;
  const address = BigInt.asUintN(8 * call.pointerSize, call.argument(1));
  const { start, end } = call.domain.table.range;
  if (address >= end) return ntStatus('STATUS_INVALID_PARAMETER').value;
  const inRange = address < start ? start : address;
  const bytes = isSpeculationControl
    ? speculationControlInformation(call, inRange)
    : basicInformation(call, inRange);
  if (bytes === undefined) return INVALID_ADDRESS;
  const returnLength = call.argument(5);
  if (BigInt.asUintN(32, call.argument(4)) < BigInt(bytes.length))
    return ntStatus('STATUS_INFO_LENGTH_MISMATCH').value;
  call.memory.write(call.argument(3), bytes);
  if (returnLength !== 0n) call.memory.writePointer(returnLength, BigInt(bytes.length));
  return STATUS_SUCCESS;
}

export function defineMemoryServices(services: SystemServices): void {
  services.define('NtAllocateVirtualMemory', allocate);
  services.define('NtFreeVirtualMemory', free);
  services.define('NtProtectVirtualMemory', protect);
  services.define('NtQueryVirtualMemory', query);
}
