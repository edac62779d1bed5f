import { PAGE_SIZE } from '../../cpu/index.js';
import type { ServiceCall, SimulatedExport } from '../dispatch/index.js';
import { type FileNode, VolumeFile } from '../files/index.js';
import { changeProcess } from '../processes/index.js';
import { fail, invalidHandle } from './disk-access.js';
import { defineExport } from './simulated-export.js';

const ERROR = {
  invalidHandle: 6,
  notEnoughMemory: 8,
  invalidParameter: 87,
  invalidAddress: 487,
  fileInvalid: 1006,
} as const;
const FILE_MAP_COPY = 1;
const FILE_MAP_WRITE = 2;
const PAGE_READONLY = 2;
const PAGE_WRITECOPY = 8;
const LARGEST = 0x1000_0000n;

/** A mapping object: page frames that all of its views share, and the file that they came from. */
class MappingObject {
  readonly views = new Map<
    bigint,
    { readonly pages: number; readonly offset: number; readonly writes: boolean }
  >();

  constructor(
    readonly frames: readonly number[],
    readonly size: number,
    readonly node: FileNode | undefined,
    readonly writable: boolean,
  ) {}

  saveState(): unknown {
    return [...this.views];
  }

  loadState(state: unknown): void {
    this.views.clear();
    for (const [base, view] of state as typeof this.views extends Map<infer K, infer V> ? [K, V][] : never)
      this.views.set(base, view);
  }
}

function create(call: ServiceCall, file: bigint, protection: number, wanted: bigint): bigint {
  const opened = file === invalidHandle(call) ? undefined : call.process.handles.get(file, VolumeFile);
  if (opened === undefined && file !== invalidHandle(call)) return fail(call, ERROR.invalidHandle, 0n);
  const size = wanted === 0n ? BigInt(opened?.node.size ?? 0) : wanted;
  if (size === 0n) return fail(call, opened === undefined ? ERROR.invalidParameter : ERROR.fileInvalid, 0n);
  if (size > LARGEST) return fail(call, ERROR.notEnoughMemory, 0n);
  const { memory } = call.kernel.machine;
  const pages = Math.ceil(Number(size) / PAGE_SIZE);
  if (pages > memory.frames / 2) return fail(call, ERROR.notEnoughMemory, 0n);
  const writable = (protection & 0xff) !== PAGE_READONLY && (protection & 0xff) !== PAGE_WRITECOPY;
  if (opened !== undefined && writable && Number(size) > opened.node.size) opened.node.resize(Number(size));
  const frames: number[] = [];
  for (let index = 0; index < pages; index++) {
    const frame = memory.allocate();
    frames.push(frame);
    if (opened !== undefined) memory.write(frame, 0, opened.node.read(index * PAGE_SIZE, PAGE_SIZE));
  }
  return BigInt(call.process.handles.open(new MappingObject(frames, Number(size), opened?.node, writable)));
}

function map(call: ServiceCall, handle: bigint, access: number, offset: bigint, length: bigint): bigint {
  const mapping = call.process.handles.get(handle, MappingObject);
  if (mapping === undefined) return fail(call, ERROR.invalidHandle, 0n);
  const size = length === 0n ? BigInt(mapping.size) - offset : length;
  if (offset % 0x1_0000n !== 0n || size <= 0n || offset + size > BigInt(mapping.frames.length * PAGE_SIZE))
    return fail(call, ERROR.invalidParameter, 0n);
  const pages = Math.ceil(Number(size) / PAGE_SIZE);
  const first = Number(offset) / PAGE_SIZE;
  const frames = mapping.frames.slice(first, first + pages);
  const copies = (access & 0xf) === FILE_MAP_COPY;
  const writes = !copies && (access & FILE_MAP_WRITE) !== 0;
  if (writes && !mapping.writable) return fail(call, 5, 0n);
  const { table, pool } = call.domain;
  const base = pool.region.allocate(pages * PAGE_SIZE);
  const protection = copies ? 'PAGE_WRITECOPY' : writes ? 'PAGE_READWRITE' : 'PAGE_READONLY';
  table.commit(base, pages, protection, { frames, copyOnWrite: copies });
  mapping.views.set(base, { pages, offset: Number(offset), writes });
  changeProcess(call.process, { views: new Map(call.process.views).set(base, mapping) });
  return base;
}

/** What the view holds goes to the file. */
function writeBack(call: ServiceCall, base: bigint, mapping: MappingObject): void {
  const view = mapping.views.get(base);
  const { node } = mapping;
  if (view === undefined || node === undefined || !view.writes) return;
  const length = Math.min(view.pages * PAGE_SIZE, node.size - view.offset);
  if (length > 0) node.write(view.offset, call.process.addressSpace.read(base, length));
}

/** Mappings of files and of memory (memoryapi.h). What is written through a view reaches the file when it is flushed or unmapped (modelled). */
export function userMappings(): SimulatedExport[] {
  const viewOf = (call: ServiceCall, base: bigint): MappingObject | undefined => {
    const mapping = call.process.views.get(base);
    return mapping instanceof MappingObject ? mapping : undefined;
  };
  return [
    ...(['A', 'W'] as const).map((letter) =>
      defineExport(
        `CreateFileMapping${letter}`,
        ['pointer', 'pointer', 'u32', 'u32', 'u32', 'pointer'],
        (call, file, _security, protection, high, low) =>
          create(call, file, protection, (BigInt(high) << 32n) | BigInt(low)),
      ),
    ),
    defineExport(
      'MapViewOfFile',
      ['pointer', 'u32', 'u32', 'u32', 'size'],
      (call, handle, access, high, low, length) =>
        map(call, handle, access, (BigInt(high) << 32n) | BigInt(low), length),
    ),
    defineExport(
      'MapViewOfFileEx',
      ['pointer', 'u32', 'u32', 'u32', 'size', 'pointer'],
      (call, handle, access, high, low, length) =>
        map(call, handle, access, (BigInt(high) << 32n) | BigInt(low), length),
    ),
    defineExport('UnmapViewOfFile', ['pointer'], (call, base) => {
      const mapping = viewOf(call, base);
      const view = mapping?.views.get(base);
      if (mapping === undefined || view === undefined) return fail(call, ERROR.invalidAddress, 0);
      writeBack(call, base, mapping);
      call.domain.table.release(base, view.pages);
      mapping.views.delete(base);
      const others = [...call.process.views].filter(([other]) => other !== base);
      changeProcess(call.process, { views: new Map(others) });
      return 1;
    }),
    defineExport('FlushViewOfFile', ['pointer', 'size'], (call, base) => {
      const mapping = viewOf(call, base);
      if (mapping === undefined) return fail(call, ERROR.invalidAddress, 0);
      writeBack(call, base, mapping);
      return 1;
    }),
  ];
}
