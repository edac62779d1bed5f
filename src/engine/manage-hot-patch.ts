import { type AddressSpace, CpuError } from '../cpu/index.js';
import { type NtStatus, type NtStatusName, ntStatus, type PeImage } from '../image/index.js';
import {
  type HandleTable,
  type ImageDomain,
  type Kernel,
  KernelError,
  type LoadedImage,
  SectionObject,
  type ServiceCall,
} from '../loader/index.js';
import { APPLY_IMAGE_PATCH } from './apply-image.js';
import type { HotPatchEngine } from './engine.js';
import { HotPatchError } from './error.js';
import {
  CLASS_FACTS,
  FIELD,
  HOT_PATCH_IMAGE_INFO_SIZE,
  MANAGE_HOT_PATCH,
  type ManageHotPatchClass,
  readSid,
  readUnicodeString,
  SID_SIZE,
  UNICODE_STRING_SIZE,
  writeUnicodeString,
} from './manage-requests.js';
import type { Patch } from './patch.js';

/** Who calls NtManageHotPatch. */
export interface HotPatchCaller {
  readonly addressSpace: AddressSpace;
  /** Where its images are. */
  readonly domain: ImageDomain;
  readonly handles: HandleTable;
  /** SeLoadDriverPrivilege in the token. */
  readonly canLoadDrivers: boolean;
  /** A process in a container (server silo) may not manage hotpatches. */
  readonly inHostSilo: boolean;
}

/** The kernel's services that the system call needs besides the engine. */
export interface ManageHotPatchHost {
  readonly kernel: Kernel;
  readonly engine: HotPatchEngine;
  /** Opens the hotpatch image at an NT path. */
  openImage(path: string): PeImage | undefined;
}

class Refusal extends Error {
  constructor(readonly status: NtStatusName) {
    super(status);
  }
}

const CLASS_NAMES = new Map(
  Object.entries(MANAGE_HOT_PATCH).map(([name, value]) => [value as number, name as ManageHotPatchClass]),
);
const CURRENT_PROCESS = 0xffff_ffff_ffff_ffffn;

/**
 * `NtManageHotPatch(InfoClass, Buffer, BufferLength, PULONG ReturnLength)` for a 64-bit caller: checks in the order of
 * windows-hotpatching.md 2.1, then the class. Whatever the request holds, the answer is an NTSTATUS.
 */
export function manageHotPatch(
  host: ManageHotPatchHost,
  caller: HotPatchCaller,
  infoClass: number,
  buffer: bigint,
  bufferLength: number,
  returnLength = 0n,
): NtStatus {
  try {
    const name = CLASS_NAMES.get(infoClass);
    if (name === undefined) throw new Refusal('STATUS_INVALID_INFO_CLASS');
    if (!host.kernel.hotPatchingEnabled) throw new Refusal('STATUS_NOT_SUPPORTED');
    const facts = CLASS_FACTS[name];
    const lengths = new Set(Object.values(facts.sizes));
    if (!lengths.has(bufferLength)) throw new Refusal('STATUS_INFO_LENGTH_MISMATCH');
    const request = new Request(caller.addressSpace, buffer);
    if (facts.sizes[request.u32(0)] !== bufferLength) throw new Refusal('STATUS_INVALID_PARAMETER');
    if (facts.privileged && !caller.canLoadDrivers) throw new Refusal('STATUS_PRIVILEGE_NOT_HELD');
    if (facts.privileged && !caller.inHostSilo) throw new Refusal('STATUS_ACCESS_DENIED');
    if (returnLength !== 0n) caller.addressSpace.writeU32(returnLength, bufferLength);
    return HANDLERS[name](host, request, caller);
  } catch (error) {
    return statusOf(error);
  }
}

/** The system service, called by guest code of a 64-bit process. Files are those that the kernel's file table knows. */
export function ntManageHotPatch(engine: HotPatchEngine, call: ServiceCall): NtStatus {
  const { kernel, thread, process, domain } = call;
  if (domain.architecture.pointerSize === 4) return ntStatus('STATUS_NOT_SUPPORTED');
  const [infoClass, buffer, bufferLength, returnLength] = [0, 1, 2, 3].map((index) => call.argument(index));
  const host: ManageHotPatchHost = {
    kernel,
    engine,
    openImage: (path) => kernel.files.find(path.replace(/^.*[\\/]/, ''), kernel.architecture.name)?.image,
  };
  const caller: HotPatchCaller = {
    addressSpace: thread.addressSpace,
    domain,
    handles: process.handles,
    canLoadDrivers: process.privileges.has('SeLoadDriverPrivilege'),
    inHostSilo: !process.silo,
  };
  return manageHotPatch(
    host,
    caller,
    Number(BigInt.asUintN(32, infoClass ?? 0n)),
    buffer ?? 0n,
    Number(BigInt.asUintN(32, bufferLength ?? 0n)),
    returnLength,
  );
}

function imageAtBase(domain: ImageDomain, address: bigint): LoadedImage {
  const image = domain.images.find(({ dllBase }) => dllBase === address);
  if (image === undefined) throw new Refusal('STATUS_NOT_MAPPED_VIEW');
  return image;
}

function statusOf(error: unknown): NtStatus {
  if (error instanceof Refusal) return ntStatus(error.status);
  if (error instanceof HotPatchError || error instanceof KernelError) return error.status;
  if (error instanceof CpuError) return ntStatus('STATUS_ACCESS_VIOLATION');
  throw error;
}

/** The request's structure in the caller's memory. */
class Request {
  constructor(
    readonly space: AddressSpace,
    readonly buffer: bigint,
  ) {}

  address(offset: number): bigint {
    return this.buffer + BigInt(offset);
  }

  u32(offset: number): number {
    return this.space.readU32(this.address(offset));
  }

  u64(offset: number): bigint {
    return this.space.readU64(this.address(offset));
  }

  setU32(offset: number, value: number): void {
    this.space.writeU32(this.address(offset), value);
  }

  sid(offset: number): string | undefined {
    const sid = readSid(this.space.read(this.address(offset), SID_SIZE));
    if (sid === 'invalid') throw new Refusal('STATUS_INVALID_SID');
    return sid;
  }
}

type Handler = (host: ManageHotPatchHost, request: Request, caller: HotPatchCaller) => NtStatus;

/** SECTION_QUERY | SECTION_MAP_READ | SECTION_MAP_EXECUTE, as the loader asks for (windows-hotpatching.md 2.1). */
const SECTION_ACCESS = 0xd;
const PAGE_NOACCESS = 0x1;
const SEC_IMAGE = 0x100_0000;

const success = () => ntStatus('STATUS_SUCCESS');

const HANDLERS: Readonly<Record<ManageHotPatchClass, Handler>> = {
  LoadPatch: (host, request) => loadPatch(host, request, undefined),
  LoadPatchForUser: (host, request) => loadPatch(host, request, requireSid(request, FIELD.loadPatch.sid)),
  UnloadPatch: (host, request) => unloadPatch(host, request, undefined),
  UnloadPatchForUser: (host, request) =>
    unloadPatch(host, request, requireSid(request, FIELD.unloadPatch.sid)),
  QueryPatches: (host, request) => queryPatches(host, request, undefined),
  QueryPatchesForUser: (host, request) =>
    queryPatches(host, request, requireSid(request, FIELD.queryPatches.sid)),
  QueryActivePatches(host, request) {
    const { patchPaths, baseInfos, patchCount, sequenceNumbers } = FIELD.queryActivePatches;
    const patches = host.engine.patches.filter((patch) => patch.state === 'applied');
    fillArrays(request, patches, { patchCount, patchPaths, baseInfos });
    const numbers = request.u32(0) >= 3 ? request.u64(sequenceNumbers) : 0n;
    if (numbers !== 0n)
      patches.forEach((patch, index) => {
        request.space.writeU32(numbers + BigInt(4 * index), patch.sequenceNumber);
      });
    return success();
  },
  QuerySinglePatch(host, request) {
    const { processHandle, base, flags, patchPath } = FIELD.querySinglePatch;
    if (request.u64(processHandle) !== CURRENT_PROCESS || request.u32(flags) !== 0)
      throw new Refusal('STATUS_INVALID_PARAMETER');
    const checkSum = request.u32(base);
    const timeDateStamp = request.u32(base + 4);
    const patch = registered(host, undefined).find(
      (candidate) =>
        candidate.originalCheckSum === checkSum && candidate.originalTimeDateStamp === timeDateStamp,
    );
    if (patch === undefined) throw new Refusal('STATUS_NOT_FOUND');
    if (!writeUnicodeString(request.space, request.address(patchPath), patch.path))
      throw new Refusal('STATUS_BUFFER_TOO_SMALL');
    return success();
  },
  CheckEnabled(_host, request) {
    if (request.u32(FIELD.checkEnabled.flags) !== 0) throw new Refusal('STATUS_INVALID_PARAMETER');
    return success();
  },
  ApplyImagePatch({ engine }, request, { domain }) {
    const { flags, processHandle, baseImageAddress, patchImageAddress } = FIELD.applyImagePatch;
    const phases = request.u32(flags);
    const undo = request.u32(0) === 1 ? APPLY_IMAGE_PATCH.UNDO : 0;
    const known = APPLY_IMAGE_PATCH.REVERSE | APPLY_IMAGE_PATCH.FORWARD | undo;
    if (request.u64(processHandle) !== CURRENT_PROCESS || phases === 0 || (phases & ~known) !== 0)
      throw new Refusal('STATUS_INVALID_PARAMETER');
    const base = imageAtBase(domain, request.u64(baseImageAddress));
    const patch = imageAtBase(domain, request.u64(patchImageAddress));
    engine.applyImagePatch(base, patch, phases);
    return success();
  },
  CreatePatchSection({ engine }, request, { domain, handles }) {
    const { flags, desiredAccess, pageProtection, allocationAttributes, baseImageAddress, sectionHandle } =
      FIELD.createPatchSection;
    if (
      request.u32(flags) !== 0 ||
      request.u32(desiredAccess) !== SECTION_ACCESS ||
      request.u32(pageProtection) !== PAGE_NOACCESS ||
      request.u32(allocationAttributes) !== SEC_IMAGE
    )
      throw new Refusal('STATUS_INVALID_PARAMETER');
    const patch = engine.registeredFor(imageAtBase(domain, request.u64(baseImageAddress)));
    if (patch === undefined) throw new Refusal('STATUS_NOT_FOUND');
    const options = { name: patch.name, loadReason: 'PatchImage', initialize: false } as const;
    const handle = handles.open(new SectionObject(patch.image, options));
    request.space.writeU64(request.address(sectionHandle), BigInt(handle));
    return success();
  },
};

function requireSid(request: Request, offset: number): string {
  const sid = request.sid(offset);
  if (sid === undefined) throw new Refusal('STATUS_INVALID_SID');
  return sid;
}

function loadPatch(
  { engine, openImage }: ManageHotPatchHost,
  request: Request,
  userSid: string | undefined,
): NtStatus {
  const { patchPath, sid, checkSum, timeDateStamp } = FIELD.loadPatch;
  if (userSid === undefined) request.sid(sid);
  const path = readUnicodeString(request.space, request.address(patchPath));
  const image = openImage(path);
  if (image === undefined) throw new Refusal('STATUS_OBJECT_NAME_NOT_FOUND');
  const [description] = image.hotPatch?.bases ?? [];
  const hints = [
    [request.u32(checkSum), description?.originalCheckSum],
    [request.u32(timeDateStamp), description?.originalTimeDateStamp],
  ] as const;
  if (hints.some(([hint, actual]) => hint !== 0 && hint !== actual))
    throw new Refusal('STATUS_REVISION_MISMATCH');
  const name = path.replace(/^.*[\\/]/, '');
  return engine.loadPatch(image, { name, path, ...(userSid === undefined ? {} : { userSid }) }).status;
}

function unloadPatch(
  { engine }: ManageHotPatchHost,
  request: Request,
  userSid: string | undefined,
): NtStatus {
  const { checkSum, timeDateStamp } = FIELD.unloadPatch;
  const patch = engine.patches.findLast(
    (candidate) =>
      (candidate.state === 'applied' || candidate.state === 'deferred') &&
      candidate.userSid === userSid &&
      candidate.originalCheckSum === request.u32(checkSum) &&
      candidate.originalTimeDateStamp === request.u32(timeDateStamp),
  );
  if (patch === undefined) throw new Refusal('STATUS_NOT_FOUND');
  engine.unloadPatch(patch);
  return success();
}

function queryPatches(host: ManageHotPatchHost, request: Request, userSid: string | undefined): NtStatus {
  const { patchCount, patchPaths, baseInfos } = FIELD.queryPatches;
  fillArrays(request, registered(host, userSid), { patchCount, patchPaths, baseInfos });
  return success();
}

/** The patches in one registration list: the global one, or a user's. */
function registered({ engine }: ManageHotPatchHost, userSid: string | undefined): Patch[] {
  return engine.patches.filter(
    (patch) => (patch.state === 'applied' || patch.state === 'deferred') && patch.userSid === userSid,
  );
}

/**
 * Fills the caller's arrays. PatchCount says how many fit and then how many there are; too few: STATUS_BUFFER_TOO_SMALL.
 * Modelled: each UNICODE_STRING of PatchPaths brings the buffer that its path is copied into.
 */
function fillArrays(
  request: Request,
  patches: readonly Patch[],
  fields: { readonly patchCount: number; readonly patchPaths: number; readonly baseInfos: number },
): void {
  const capacity = request.u32(fields.patchCount);
  request.setU32(fields.patchCount, patches.length);
  if (capacity < patches.length) throw new Refusal('STATUS_BUFFER_TOO_SMALL');
  const paths = request.u64(fields.patchPaths);
  const infos = request.u64(fields.baseInfos);
  patches.forEach((patch, index) => {
    if (infos !== 0n) {
      const info = infos + BigInt(HOT_PATCH_IMAGE_INFO_SIZE * index);
      request.space.writeU32(info, patch.originalCheckSum);
      request.space.writeU32(info + 4n, patch.originalTimeDateStamp);
    }
    if (
      paths !== 0n &&
      !writeUnicodeString(request.space, paths + BigInt(UNICODE_STRING_SIZE * index), patch.path)
    )
      throw new Refusal('STATUS_BUFFER_TOO_SMALL');
  });
}
