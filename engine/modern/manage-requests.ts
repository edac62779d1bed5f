import type { GuestMemory } from '../../loader/index.js';
import type { EngineBuild } from './builds.js';

/** MANAGE_HOT_PATCH_INFORMATION_CLASS (public native-API headers). */
export const MANAGE_HOT_PATCH = {
  LoadPatch: 0,
  UnloadPatch: 1,
  QueryPatches: 2,
  LoadPatchForUser: 3,
  UnloadPatchForUser: 4,
  QueryPatchesForUser: 5,
  QueryActivePatches: 6,
  ApplyImagePatch: 7,
  QuerySinglePatch: 8,
  CheckEnabled: 9,
  CreatePatchSection: 10,
} as const;

export type ManageHotPatchClass = keyof typeof MANAGE_HOT_PATCH;

/** What a field of a request is made of. */
type FieldKind = 'u32' | 'pointer' | 'unicodeString' | 'sid' | 'imageInfo';

/** Bytes of the SID union in the structures. */
export const SID_SIZE = 68;
/** HOT_PATCH_IMAGE_INFO: CheckSum, TimeDateStamp. */
export const HOT_PATCH_IMAGE_INFO_SIZE = 8;

/** The requests' structures (docs/fidelity.md#ntmanagehotpatch). Each begins with its version. */
const STRUCTURES = {
  loadPatch: {
    version: 'u32',
    patchPath: 'unicodeString',
    sid: 'sid',
    checkSum: 'u32',
    timeDateStamp: 'u32',
  },
  unloadPatch: { version: 'u32', checkSum: 'u32', timeDateStamp: 'u32', sid: 'sid' },
  queryPatches: {
    version: 'u32',
    sid: 'sid',
    patchCount: 'u32',
    patchPaths: 'pointer',
    baseInfos: 'pointer',
  },
  queryActivePatches2: {
    version: 'u32',
    processHandle: 'pointer',
    patchCount: 'u32',
    patchPaths: 'pointer',
    baseInfos: 'pointer',
  },
  queryActivePatches: {
    version: 'u32',
    processHandle: 'pointer',
    patchCount: 'u32',
    patchPaths: 'pointer',
    baseInfos: 'pointer',
    sequenceNumbers: 'pointer',
  },
  applyImagePatch: {
    version: 'u32',
    flags: 'u32',
    processHandle: 'pointer',
    baseImageAddress: 'pointer',
    patchImageAddress: 'pointer',
  },
  querySinglePatch: {
    version: 'u32',
    processHandle: 'pointer',
    base: 'imageInfo',
    flags: 'u32',
    patchPath: 'unicodeString',
  },
  querySinglePatchByAddress: {
    version: 'u32',
    processHandle: 'pointer',
    baseAddress: 'pointer',
    flags: 'u32',
    patchPath: 'unicodeString',
  },
  checkEnabled: { version: 'u32', flags: 'u32' },
  createPatchSection: {
    version: 'u32',
    flags: 'u32',
    desiredAccess: 'u32',
    pageProtection: 'u32',
    allocationAttributes: 'u32',
    baseImageAddress: 'pointer',
    sectionHandle: 'pointer',
  },
} as const satisfies Record<string, Record<string, FieldKind>>;

export type Structures = typeof STRUCTURES;
export type StructureName = keyof Structures;

/** Where the fields of a structure are, in bytes, and how long it is. */
export interface RequestLayout<S extends StructureName> {
  readonly offset: Readonly<Record<keyof Structures[S], number>>;
  readonly size: number;
}

/** Lays the structure out as the compiler of a caller with pointers of this size does. */
export function layoutOf<S extends StructureName>(name: S, pointerSize: 4 | 8): RequestLayout<S> {
  const sizes: Record<FieldKind, readonly [size: number, alignment: number]> = {
    u32: [4, 4],
    pointer: [pointerSize, pointerSize],
    unicodeString: [2 * pointerSize, pointerSize],
    sid: [SID_SIZE, 4],
    imageInfo: [HOT_PATCH_IMAGE_INFO_SIZE, 4],
  };
  const offset: Record<string, number> = {};
  let end = 0;
  let widest = 1;
  for (const [field, kind] of Object.entries<FieldKind>(STRUCTURES[name])) {
    const [size, alignment] = sizes[kind];
    const at = alignUp(end, alignment);
    offset[field] = at;
    end = at + size;
    widest = Math.max(widest, alignment);
  }
  return { offset: offset as Record<keyof Structures[S], number>, size: alignUp(end, widest) };
}

function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}

export interface ClassFacts {
  /** The structure of each version that is accepted. Which are differs between builds: docs/fidelity.md#ntmanagehotpatch. */
  readonly versions: Readonly<Record<number, StructureName>>;
  /** SeLoadDriverPrivilege and the host silo are asked for. */
  readonly privileged: boolean;
}

/** Versions and privileges of each class (docs/fidelity.md#ntmanagehotpatch). */
export const CLASS_FACTS: Readonly<Record<ManageHotPatchClass, ClassFacts>> = {
  LoadPatch: { versions: { 1: 'loadPatch', 2: 'loadPatch' }, privileged: true },
  UnloadPatch: { versions: { 1: 'unloadPatch' }, privileged: true },
  QueryPatches: { versions: { 1: 'queryPatches', 2: 'queryPatches' }, privileged: true },
  LoadPatchForUser: { versions: { 1: 'loadPatch', 2: 'loadPatch' }, privileged: true },
  UnloadPatchForUser: { versions: { 1: 'unloadPatch' }, privileged: true },
  QueryPatchesForUser: { versions: { 1: 'queryPatches', 2: 'queryPatches' }, privileged: true },
  QueryActivePatches: {
    versions: { 1: 'queryActivePatches2', 2: 'queryActivePatches2', 3: 'queryActivePatches' },
    privileged: true,
  },
  ApplyImagePatch: { versions: { 1: 'applyImagePatch', 2: 'applyImagePatch' }, privileged: false },
  QuerySinglePatch: { versions: { 1: 'querySinglePatch' }, privileged: false },
  CheckEnabled: { versions: { 1: 'checkEnabled' }, privileged: false },
  CreatePatchSection: { versions: { 1: 'createPatchSection' }, privileged: true },
};

/** What a build accepts of a class: the structure of each version. */
export function versionsOf(
  name: ManageHotPatchClass,
  { versions, querySinglePatchBy }: EngineBuild,
): Readonly<Record<number, StructureName>> {
  if (name === 'QuerySinglePatch' && querySinglePatchBy === 'baseAddress')
    return { 1: 'querySinglePatchByAddress' };
  const all = CLASS_FACTS[name].versions;
  const accepted = versions[name];
  if (accepted === undefined) return all;
  return Object.fromEntries(Object.entries(all).filter(([version]) => accepted.includes(Number(version))));
}

const SID_REVISION = 1;
const SID_MAX_SUB_AUTHORITIES = 15;

/** `S-1-5-21-…` of a SID structure; `undefined` when all bytes are zero, `invalid` when it is none (winnt.h SID). */
export function readSid(bytes: Uint8Array): string | undefined | 'invalid' {
  if (bytes.every((byte) => byte === 0)) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = view.getUint8(1);
  if (view.getUint8(0) !== SID_REVISION || count > SID_MAX_SUB_AUTHORITIES) return 'invalid';
  const authority = view.getUint16(2) * 2 ** 32 + view.getUint32(4);
  const parts = Array.from({ length: count }, (_, index) => view.getUint32(8 + 4 * index, true));
  return ['S', SID_REVISION, authority, ...parts].join('-');
}

type FieldOf<S extends StructureName> = keyof Structures[S];

/** One structure of a request, field by field. */
export interface RequestFields<S extends StructureName> {
  u32(field: FieldOf<S>): number;
  /** A pointer or a handle; those of a 32-bit caller are sign-extended only by {@link isCurrentProcess}. */
  pointer(field: FieldOf<S>): bigint;
  address(field: FieldOf<S>): bigint;
}

/** A request in the caller's memory. */
export class ManageRequest {
  constructor(
    readonly memory: GuestMemory,
    readonly buffer: bigint,
  ) {}

  get version(): number {
    return this.memory.readU32(this.buffer);
  }

  as<S extends StructureName>(name: S): RequestFields<S> {
    const { memory, buffer } = this;
    const { offset } = layoutOf(name, memory.pointerSize);
    const address = (field: FieldOf<S>) => buffer + BigInt(offset[field]);
    return {
      address,
      u32: (field) => memory.readU32(address(field)),
      pointer: (field) => memory.readPointer(address(field)),
    };
  }
}
