import { PAGE_SIZE } from '../../cpu/index.js';
import { ntStatus } from '../../image/index.js';
import { isCurrentProcess } from '../handles.js';
import { isWritableAndExecutable, PAGE_GUARD, pageProtection, protectionValue } from '../page-protection.js';
import { readPointer, type ServiceCall, writePointer } from '../simulated-export.js';
import type { SystemServices } from '../system-services.js';

const MEM_COMMIT = 0x1000;
const MEM_RESERVE = 0x2000;
const MEM_DECOMMIT = 0x4000;
const MEM_RELEASE = 0x8000;
const STATUS_SUCCESS = 0;
const INVALID_PARAMETER = ntStatus('STATUS_INVALID_PARAMETER').value;
const INVALID_HANDLE = ntStatus('STATUS_INVALID_HANDLE').value;
const CONFLICTING_ADDRESSES = ntStatus('STATUS_CONFLICTING_ADDRESSES').value;
const INVALID_PAGE_PROTECTION = ntStatus('STATUS_INVALID_PAGE_PROTECTION').value;
/** Of a process that may not make code: nothing here may be writable and executable at once. */
const DYNAMIC_CODE_BLOCKED = 0xc000_0604;
const NOT_COMMITTED = 0xc000_002d;

/** Whole pages around a range that two variables of the caller hold; both are updated to it. */
function roundToPages(call: ServiceCall, baseAt: bigint, sizeAt: bigint): { base: bigint; pages: number } {
  const { addressSpace } = call.thread;
  const address = readPointer(addressSpace, baseAt, call.pointerSize);
  const size = readPointer(addressSpace, sizeAt, call.pointerSize);
  const base = address - (address % BigInt(PAGE_SIZE));
  const pages = Number((address + size - base + BigInt(PAGE_SIZE - 1)) / BigInt(PAGE_SIZE));
  return { base, pages };
}

function report(call: ServiceCall, baseAt: bigint, sizeAt: bigint, base: bigint, pages: number): number {
  writePointer(call.thread.addressSpace, baseAt, base, call.pointerSize);
  writePointer(call.thread.addressSpace, sizeAt, BigInt(pages * PAGE_SIZE), call.pointerSize);
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
  if ((type & (MEM_COMMIT | MEM_RESERVE)) === 0) return INVALID_PARAMETER;
  const { table, pool } = call.domain;
  const wanted = roundToPages(call, baseAt, sizeAt);
  if (wanted.pages <= 0) return INVALID_PARAMETER;
  const base = wanted.base === 0n ? pool.region.allocate(wanted.pages * PAGE_SIZE) : wanted.base;
  try {
    if ((type & MEM_COMMIT) === 0) table.reserve(base, wanted.pages);
    else
      table.commit(base, wanted.pages, protection, {
        demandZero: true,
        guard: (protect & PAGE_GUARD) !== 0,
      });
  } catch {
    return CONFLICTING_ADDRESSES;
  }
  return report(call, baseAt, sizeAt, base, wanted.pages);
}

/** (ProcessHandle, *BaseAddress, *RegionSize, FreeType) */
function free(call: ServiceCall): number {
  const [baseAt, sizeAt, type] = [call.argument(1), call.argument(2), Number(call.argument(3))];
  if (!isCurrentProcess(call.argument(0))) return INVALID_HANDLE;
  const { base, pages } = roundToPages(call, baseAt, sizeAt);
  const { table } = call.domain;
  // The size 0 releases a whole region; regions end where the next free page is.
  let count = pages;
  if (type === MEM_RELEASE && count === 0)
    while (table.query(base + BigInt(count * PAGE_SIZE)).state !== 'free') count += 1;
  if (count === 0) return INVALID_PARAMETER;
  if (type === MEM_RELEASE) table.release(base, count);
  else if (type === MEM_DECOMMIT) table.decommit(base, count);
  else return INVALID_PARAMETER;
  return report(call, baseAt, sizeAt, base, count);
}

/** (ProcessHandle, *BaseAddress, *RegionSize, NewProtect, *OldProtect) */
function protect(call: ServiceCall): number {
  const [baseAt, sizeAt, oldAt] = [call.argument(1), call.argument(2), call.argument(4)];
  if (!isCurrentProcess(call.argument(0))) return INVALID_HANDLE;
  const protection = pageProtection(Number(call.argument(3)));
  if (protection === undefined) return INVALID_PAGE_PROTECTION;
  if (isWritableAndExecutable(protection)) return DYNAMIC_CODE_BLOCKED;
  const { base, pages } = roundToPages(call, baseAt, sizeAt);
  const { table } = call.domain;
  const before = table.query(base).protection;
  if (pages <= 0) return INVALID_PARAMETER;
  for (let i = 0; i < pages; i++)
    if (table.query(base + BigInt(i * PAGE_SIZE)).state !== 'committed') return NOT_COMMITTED;
  table.protect(base, pages, protection, { guard: (Number(call.argument(3)) & PAGE_GUARD) !== 0 });
  if (before !== undefined) call.thread.addressSpace.writeU32(oldAt, protectionValue(before));
  return report(call, baseAt, sizeAt, base, pages);
}

export function defineMemoryServices(services: SystemServices): void {
  services.define('NtAllocateVirtualMemory', allocate);
  services.define('NtFreeVirtualMemory', free);
  services.define('NtProtectVirtualMemory', protect);
}
