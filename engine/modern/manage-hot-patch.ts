import { type AddressSpace, CpuError } from '../../cpu/index.js';
import { ImageError, type NtStatus, type NtStatusName, ntStatus, type PeImage } from '../../image/index.js';
import {
  type GuestMemory,
  guestMemoryOf,
  type HandleTable,
  type ImageDomain,
  type Kernel,
  KernelError,
  type Process,
  type ServiceCall,
} from '../../loader/index.js';
import { HotPatchError } from '../core/index.js';
import type { ModernEngine } from './engine.js';
import { CLASS_HANDLERS, Refusal } from './manage-classes.js';
import {
  CLASS_FACTS,
  layoutOf,
  MANAGE_HOT_PATCH,
  type ManageHotPatchClass,
  ManageRequest,
  versionsOf,
} from './manage-requests.js';

/** Who calls NtManageHotPatch. */
export interface HotPatchCaller {
  readonly addressSpace: AddressSpace;
  /** Where its images are. Its processor decides how wide pointers in requests are: WOW64 callers have 32 bits. */
  readonly domain: ImageDomain;
  readonly handles: HandleTable;
  /** Memory as the calling thread may use it; default: as code of the domain may, without a stack of its own. */
  readonly memory?: GuestMemory;
  /** Undefined: the kernel itself. */
  readonly process?: Process | undefined;
  /** SeLoadDriverPrivilege in the token. */
  readonly canLoadDrivers: boolean;
  /** A process in a container (server silo) may not manage hotpatches. */
  readonly inHostSilo: boolean;
}

/** The kernel's services that the system call needs besides the engine. */
export interface ManageHotPatchHost {
  readonly kernel: Kernel;
  readonly engine: ModernEngine;
  /** Opens the hotpatch image at an NT path. */
  openImage(path: string): PeImage | undefined;
}

const CLASS_NAMES = new Map(
  Object.entries(MANAGE_HOT_PATCH).map(([name, value]) => [value as number, name as ManageHotPatchClass]),
);

/**
 * `NtManageHotPatch(InfoClass, Buffer, BufferLength, PULONG ReturnLength)`: checks in the order of
 * docs/fidelity.md#ntmanagehotpatch, then the class. Whatever the request holds, the answer is an NTSTATUS. A 32-bit caller's
 * structures are the same with pointers of four bytes (modelled: what WOW64 makes of them).
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
    if (!host.kernel.hotPatchingEnabled) throw new Refusal('STATUS_NOT_SUPPORTED');
    if (!host.engine.ready) throw new Refusal('STATUS_DEVICE_NOT_READY');
    const name = CLASS_NAMES.get(infoClass);
    if (name === undefined) throw new Refusal('STATUS_INVALID_INFO_CLASS');
    const { privileged } = CLASS_FACTS[name];
    const versions = versionsOf(name, host.engine.build);
    const memory = memoryOf(caller);
    const lengthOf = (version: number) => {
      const structure = versions[version];
      return structure === undefined ? undefined : layoutOf(structure, memory.pointerSize).size;
    };
    if (!Object.keys(versions).some((version) => lengthOf(Number(version)) === bufferLength))
      throw new Refusal('STATUS_INFO_LENGTH_MISMATCH');
    const request = new ManageRequest(memory, buffer);
    if (lengthOf(request.version) !== bufferLength) throw new Refusal('STATUS_INVALID_PARAMETER');
    if (privileged && !caller.canLoadDrivers) throw new Refusal('STATUS_PRIVILEGE_NOT_HELD');
    if (privileged && !caller.inHostSilo) throw new Refusal('STATUS_ACCESS_DENIED');
    if (returnLength !== 0n) memory.writeU32(returnLength, bufferLength);
    return CLASS_HANDLERS[name](host, request, caller);
  } catch (error) {
    return statusOf(error);
  }
}

/** The system service, called by guest code. Files are those that the kernel's file table knows. */
export function ntManageHotPatch(kernel: Kernel, engine: ModernEngine, call: ServiceCall): NtStatus {
  const { thread, process, domain } = call;
  const [infoClass, buffer, bufferLength, returnLength] = [0, 1, 2, 3].map((index) => call.argument(index));
  const openImage = (path: string) => {
    const name = path.replace(/^.*[\\/]/, '');
    return (kernel.files.find(name, kernel.architecture.name) ?? kernel.files.find(name, 'x86'))?.image;
  };
  const caller: HotPatchCaller = {
    addressSpace: thread.addressSpace,
    memory: call.memory,
    domain,
    handles: process.handles,
    process,
    canLoadDrivers: process.privileges.has('SeLoadDriverPrivilege'),
    inHostSilo: !process.silo,
  };
  return manageHotPatch(
    { kernel, engine, openImage },
    caller,
    Number(BigInt.asUintN(32, infoClass ?? 0n)),
    buffer ?? 0n,
    Number(BigInt.asUintN(32, bufferLength ?? 0n)),
    returnLength,
  );
}

/** The caller may name what its own code could access: its thread's stack grows by it where there is a thread. */
function memoryOf({ addressSpace, domain, memory }: HotPatchCaller): GuestMemory {
  return memory ?? guestMemoryOf(domain, { addressSpace });
}

function statusOf(error: unknown): NtStatus {
  if (error instanceof Refusal) return ntStatus(error.status as NtStatusName);
  if (error instanceof HotPatchError || error instanceof KernelError || error instanceof ImageError)
    return error.status;
  if (error instanceof CpuError) return ntStatus('STATUS_ACCESS_VIOLATION');
  throw error;
}
