import { type NtStatus, type NtStatusName, ntStatus } from '../../image/index.js';
import { type ImageDomain, isCurrentProcess, type LoadedImage, SectionObject } from '../../loader/index.js';
import { APPLY_IMAGE_PATCH } from './apply-image.js';
import type { HotPatchCaller, ManageHotPatchHost } from './manage-hot-patch.js';
import {
  HOT_PATCH_IMAGE_INFO_SIZE,
  type ManageHotPatchClass,
  type ManageRequest,
  readSid,
  SID_SIZE,
} from './manage-requests.js';
import type { Patch } from './patch.js';

/** The request ends with this status. */
export class Refusal extends Error {
  constructor(readonly status: NtStatusName) {
    super(status);
  }
}

type Handler = (host: ManageHotPatchHost, request: ManageRequest, caller: HotPatchCaller) => NtStatus;

/** SECTION_QUERY | SECTION_MAP_READ | SECTION_MAP_EXECUTE, as the loader asks for (docs/fidelity.md#ntmanagehotpatch). */
const SECTION_ACCESS = 0xd;
const PAGE_NOACCESS = 0x1;
const SEC_IMAGE = 0x100_0000;

const success = () => ntStatus('STATUS_SUCCESS');

/** What each class of NtManageHotPatch does, once its length, version and privileges are right. */
export const CLASS_HANDLERS: Readonly<Record<ManageHotPatchClass, Handler>> = {
  LoadPatch: (host, request) => {
    sidOf(request, request.as('loadPatch').address('sid'));
    return loadPatch(host, request, undefined);
  },
  LoadPatchForUser: (host, request) =>
    loadPatch(host, request, requireSid(request, request.as('loadPatch').address('sid'))),
  UnloadPatch: (host, request) => unloadPatch(host, request, undefined),
  UnloadPatchForUser: (host, request) =>
    unloadPatch(host, request, requireSid(request, request.as('unloadPatch').address('sid'))),
  QueryPatches: (host, request) => queryPatches(host, request, undefined),
  QueryPatchesForUser: (host, request) =>
    queryPatches(host, request, requireSid(request, request.as('queryPatches').address('sid'))),
  QueryActivePatches: queryActivePatches,

  QuerySinglePatch({ engine }, request, { process, domain }) {
    const [fields, { checkSum, timeDateStamp }] = baseOfQuery(engine, request, domain);
    const patch = engine.patches.findLast(
      (candidate) =>
        isRegistered(candidate) &&
        (candidate.userSid === undefined || candidate.userSid === process?.userSid) &&
        candidate.originalCheckSum === checkSum &&
        candidate.originalTimeDateStamp === timeDateStamp,
    );
    if (patch === undefined) throw new Refusal('STATUS_NOT_FOUND');
    if (!request.memory.writeUnicodeString(fields.address('patchPath'), patch.path))
      throw new Refusal('STATUS_BUFFER_TOO_SMALL');
    return success();
  },

  CheckEnabled(_host, request) {
    if (request.as('checkEnabled').u32('flags') !== 0) throw new Refusal('STATUS_INVALID_PARAMETER');
    return success();
  },

  ApplyImagePatch({ engine }, request, { domain }) {
    const fields = request.as('applyImagePatch');
    const phases = fields.u32('flags');
    // Version 2 has no flag to undo with.
    const undo = request.version === 1 && engine.build.allowUndo ? APPLY_IMAGE_PATCH.UNDO : 0;
    const known = APPLY_IMAGE_PATCH.REVERSE | APPLY_IMAGE_PATCH.FORWARD | undo;
    if (!isCurrentProcess(fields.pointer('processHandle')) || phases === 0 || (phases & ~known) !== 0)
      throw new Refusal('STATUS_INVALID_PARAMETER');
    const base = imageAtBase(domain, fields.pointer('baseImageAddress'));
    const patch = imageAtBase(domain, fields.pointer('patchImageAddress'));
    engine.applyImagePatch(base, patch, phases);
    return success();
  },

  CreatePatchSection({ engine }, request, { domain, handles }) {
    const fields = request.as('createPatchSection');
    if (
      fields.u32('flags') !== 0 ||
      fields.u32('desiredAccess') !== SECTION_ACCESS ||
      fields.u32('pageProtection') !== PAGE_NOACCESS ||
      fields.u32('allocationAttributes') !== SEC_IMAGE
    )
      throw new Refusal('STATUS_INVALID_PARAMETER');
    const patch = engine.registeredFor(imageAtBase(domain, fields.pointer('baseImageAddress')));
    if (patch === undefined) throw new Refusal('STATUS_NOT_FOUND');
    const options = { name: patch.name, loadReason: 'PatchImage', initialize: false } as const;
    request.memory.probe(fields.address('sectionHandle'), request.memory.pointerSize, 'write');
    const handle = handles.open(new SectionObject(patch.image, options));
    request.memory.writePointer(fields.address('sectionHandle'), BigInt(handle));
    return success();
  },
};

type SinglePatchQuery = readonly [
  fields: { address(field: 'patchPath'): bigint },
  base: { readonly checkSum: number; readonly timeDateStamp: number },
];

/** Whose patch QuerySinglePatch asks for: a base by its identity or, since 24H2, by the address of its view. */
function baseOfQuery(
  { build }: ManageHotPatchHost['engine'],
  request: ManageRequest,
  domain: ImageDomain,
): SinglePatchQuery {
  const check = (handle: bigint, flags: number) => {
    if (!isCurrentProcess(handle) || flags !== 0) throw new Refusal('STATUS_INVALID_PARAMETER');
  };
  if (build.querySinglePatchBy === 'baseAddress') {
    const fields = request.as('querySinglePatchByAddress');
    check(fields.pointer('processHandle'), fields.u32('flags'));
    const address = fields.pointer('baseAddress');
    const image = domain.images.find(({ dllBase }) => dllBase === address);
    if (image === undefined) throw new Refusal('STATUS_CONFLICTING_ADDRESSES');
    return [fields, image];
  }
  const fields = request.as('querySinglePatch');
  check(fields.pointer('processHandle'), fields.u32('flags'));
  const identity = fields.address('base');
  return [fields, { checkSum: fields.u32('base'), timeDateStamp: request.memory.readU32(identity + 4n) }];
}

function imageAtBase(domain: ImageDomain, address: bigint): LoadedImage {
  const image = domain.images.find(({ dllBase }) => dllBase === address);
  if (image === undefined) throw new Refusal('STATUS_NOT_MAPPED_VIEW');
  return image;
}

function sidOf({ memory }: ManageRequest, address: bigint): string | undefined {
  const sid = readSid(memory.read(address, SID_SIZE));
  if (sid === 'invalid') throw new Refusal('STATUS_INVALID_SID');
  return sid;
}

function requireSid(request: ManageRequest, address: bigint): string {
  const sid = sidOf(request, address);
  if (sid === undefined) throw new Refusal('STATUS_INVALID_SID');
  return sid;
}

function loadPatch(
  { engine, openImage }: ManageHotPatchHost,
  request: ManageRequest,
  userSid: string | undefined,
): NtStatus {
  const fields = request.as('loadPatch');
  const path = request.memory.readUnicodeString(fields.address('patchPath'));
  const image = openImage(path);
  if (image === undefined) throw new Refusal('STATUS_OBJECT_NAME_NOT_FOUND');
  const [description] = image.hotPatch?.bases ?? [];
  const hints = [
    [fields.u32('checkSum'), description?.originalCheckSum],
    [fields.u32('timeDateStamp'), description?.originalTimeDateStamp],
  ] as const;
  if (hints.some(([hint, actual]) => hint !== 0 && hint !== actual))
    throw new Refusal('STATUS_REVISION_MISMATCH');
  const name = path.replace(/^.*[\\/]/, '');
  return engine.load(image, { name, path, userSid }).status;
}

function unloadPatch(
  { engine }: ManageHotPatchHost,
  request: ManageRequest,
  userSid: string | undefined,
): NtStatus {
  const fields = request.as('unloadPatch');
  const [checkSum, timeDateStamp] = [fields.u32('checkSum'), fields.u32('timeDateStamp')];
  const patch = engine.patches.findLast(
    (candidate) =>
      isRegistered(candidate) &&
      candidate.userSid === userSid &&
      candidate.originalCheckSum === checkSum &&
      candidate.originalTimeDateStamp === timeDateStamp,
  );
  if (patch === undefined) throw new Refusal('STATUS_NOT_FOUND');
  engine.unload(patch);
  return success();
}

function queryPatches(
  { engine }: ManageHotPatchHost,
  request: ManageRequest,
  userSid: string | undefined,
): NtStatus {
  const fields = request.as('queryPatches');
  const patches = engine.patches.filter((patch) => isRegistered(patch) && patch.userSid === userSid);
  fillArrays(request, patches, {
    patchCount: fields.address('patchCount'),
    patchPaths: fields.pointer('patchPaths'),
    baseInfos: fields.pointer('baseInfos'),
  });
  return success();
}

/**
 * Which patches are in force. Modelled: the current process asks about its own images, a null handle about the whole
 * system, and there are no other handles of processes.
 */
function queryActivePatches(
  { engine }: ManageHotPatchHost,
  request: ManageRequest,
  { domain }: HotPatchCaller,
): NtStatus {
  const fields = request.as('queryActivePatches');
  const handle = fields.pointer('processHandle');
  const ofCaller = isCurrentProcess(handle);
  if (!ofCaller && handle !== 0n) throw new Refusal('STATUS_INVALID_HANDLE');
  const patches = engine.patches.filter(
    ({ state, applications }) =>
      state === 'applied' && (!ofCaller || applications.some(({ base }) => base.image.domain === domain)),
  );
  fillArrays(request, patches, {
    patchCount: fields.address('patchCount'),
    patchPaths: fields.pointer('patchPaths'),
    baseInfos: fields.pointer('baseInfos'),
  });
  const numbers = request.version >= 3 ? fields.pointer('sequenceNumbers') : 0n;
  if (numbers !== 0n)
    patches.forEach((patch, index) => {
      request.memory.writeU32(numbers + BigInt(4 * index), patch.sequenceNumber);
    });
  return success();
}

function isRegistered({ state }: Patch): boolean {
  return state === 'applied' || state === 'deferred';
}

/**
 * Fills the caller's arrays. PatchCount says how many fit and then how many there are; too few: STATUS_BUFFER_TOO_SMALL.
 * Modelled: each UNICODE_STRING of PatchPaths brings the buffer that its path is copied into.
 */
function fillArrays(
  { memory }: ManageRequest,
  patches: readonly Patch[],
  { patchCount, patchPaths, baseInfos }: Record<'patchCount' | 'patchPaths' | 'baseInfos', bigint>,
): void {
  const capacity = memory.readU32(patchCount);
  memory.writeU32(patchCount, patches.length);
  if (capacity < patches.length) throw new Refusal('STATUS_BUFFER_TOO_SMALL');
  patches.forEach((patch, index) => {
    if (baseInfos !== 0n) {
      const info = baseInfos + BigInt(HOT_PATCH_IMAGE_INFO_SIZE * index);
      memory.writeU32(info, patch.originalCheckSum);
      memory.writeU32(info + 4n, patch.originalTimeDateStamp);
    }
    if (patchPaths === 0n) return;
    const path = patchPaths + BigInt(memory.unicodeStringSize * index);
    if (!memory.writeUnicodeString(path, patch.path)) throw new Refusal('STATUS_BUFFER_TOO_SMALL');
  });
}
