import type { AddressSpace } from '../cpu/index.js';

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

interface ClassFacts {
  /** Accepted lengths of the x64 structure, by its version. Which versions differ between builds: windows-hotpatching.md 2.1. */
  readonly sizes: Readonly<Record<number, number>>;
  /** SeLoadDriverPrivilege and the host silo are asked for. */
  readonly privileged: boolean;
}

/** Lengths, versions and privileges of each class (windows-hotpatching.md 2.1). */
export const CLASS_FACTS: Readonly<Record<ManageHotPatchClass, ClassFacts>> = {
  LoadPatch: { sizes: { 1: 0x68, 2: 0x68 }, privileged: true },
  UnloadPatch: { sizes: { 1: 0x50 }, privileged: true },
  QueryPatches: { sizes: { 2: 0x60 }, privileged: true },
  LoadPatchForUser: { sizes: { 1: 0x68, 2: 0x68 }, privileged: true },
  UnloadPatchForUser: { sizes: { 1: 0x50 }, privileged: true },
  QueryPatchesForUser: { sizes: { 2: 0x60 }, privileged: true },
  QueryActivePatches: { sizes: { 2: 0x28, 3: 0x30 }, privileged: true },
  ApplyImagePatch: { sizes: { 1: 0x20, 2: 0x20 }, privileged: false },
  QuerySinglePatch: { sizes: { 1: 0x30 }, privileged: false },
  CheckEnabled: { sizes: { 1: 8 }, privileged: false },
  CreatePatchSection: { sizes: { 1: 0x28 }, privileged: true },
};

/** Offsets of the fields in the x64 structures (windows-hotpatching.md 2.1). */
export const FIELD = {
  loadPatch: { patchPath: 0x08, sid: 0x18, checkSum: 0x5c, timeDateStamp: 0x60 },
  unloadPatch: { checkSum: 0x04, timeDateStamp: 0x08, sid: 0x0c },
  queryPatches: { sid: 0x04, patchCount: 0x48, patchPaths: 0x50, baseInfos: 0x58 },
  queryActivePatches: {
    processHandle: 0x08,
    patchCount: 0x10,
    patchPaths: 0x18,
    baseInfos: 0x20,
    sequenceNumbers: 0x28,
  },
  applyImagePatch: { flags: 0x04, processHandle: 0x08, baseImageAddress: 0x10, patchImageAddress: 0x18 },
  querySinglePatch: { processHandle: 0x08, base: 0x10, flags: 0x18, patchPath: 0x20 },
  checkEnabled: { flags: 0x04 },
  createPatchSection: {
    flags: 0x04,
    desiredAccess: 0x08,
    pageProtection: 0x0c,
    allocationAttributes: 0x10,
    baseImageAddress: 0x18,
    sectionHandle: 0x20,
  },
} as const;

/** Bytes of the SID union in the structures. */
export const SID_SIZE = 68;
/** HOT_PATCH_IMAGE_INFO: CheckSum, TimeDateStamp. */
export const HOT_PATCH_IMAGE_INFO_SIZE = 8;
/** UNICODE_STRING of a 64-bit caller. */
export const UNICODE_STRING_SIZE = 16;

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

/** Text of a UNICODE_STRING { USHORT Length, MaximumLength; PWSTR Buffer } in a 64-bit caller. */
export function readUnicodeString(space: AddressSpace, address: bigint): string {
  const length = space.readU16(address);
  const buffer = space.readU64(address + 8n);
  return Buffer.from(space.read(buffer, length & ~1)).toString('utf16le');
}

/** Copies text into the buffer that a UNICODE_STRING offers; false when it is too small. */
export function writeUnicodeString(space: AddressSpace, address: bigint, text: string): boolean {
  const bytes = Buffer.from(text, 'utf16le');
  if (bytes.length > space.readU16(address + 2n)) return false;
  space.write(space.readU64(address + 8n), bytes);
  space.writeU16(address, bytes.length);
  return true;
}
