import { CpuError } from '../../cpu/index.js';
import { type NtStatus, ntStatus } from '../../image/index.js';
import { type ImageDomain, isCurrentProcess, Process, type ServiceCall } from '../../loader/index.js';
import { drive, statusOfError } from '../core/index.js';
import { applyCodePatch } from './apply-code-patch.js';
import { ALL_FLAGS, CodeInformation, FLG_HOTPATCH, SYSTEM_HOTPATCH_INFORMATION } from './code-information.js';
import type { EngineServices } from './context.js';
import { atomicSwap, renameFiles } from './file-requests.js';
import { patchProcess } from './inject.js';

/** Who calls NtSetSystemInformation. */
export interface SetInformationCaller {
  readonly process: Process;
  readonly domain: ImageDomain;
  readonly pointerSize: 4 | 8;
}

/** The system service: (SystemInformationClass, SystemInformation, SystemInformationLength). */
export function ntSetSystemInformation(engine: EngineServices, call: ServiceCall): NtStatus {
  const informationClass = Number(BigInt.asUintN(32, call.argument(0)));
  const length = Number(BigInt.asUintN(32, call.argument(2)));
  return setSystemInformation(engine, call, informationClass, call.argument(1), length);
}

/** Whatever the buffer holds, the answer is an NTSTATUS. */
export function setSystemInformation(
  engine: EngineServices,
  caller: SetInformationCaller,
  informationClass: number,
  buffer: bigint,
  length: number,
): NtStatus {
  try {
    if (informationClass !== SYSTEM_HOTPATCH_INFORMATION) return ntStatus('STATUS_INVALID_INFO_CLASS');
    const { addressSpace } = caller.domain;
    const information = new CodeInformation(addressSpace, buffer, length, caller.pointerSize);
    const LEAST = 0x10;
    if (length < LEAST || information.infoSize > length) return ntStatus('STATUS_INFO_LENGTH_MISMATCH');
    return dispatch(engine, caller, information);
  } catch (error) {
    if (error instanceof CpuError) return ntStatus('STATUS_ACCESS_VIOLATION');
    const status = statusOfError(error);
    if (status === undefined) throw error;
    return status;
  }
}

type Handler = (
  engine: EngineServices,
  caller: SetInformationCaller,
  information: CodeInformation,
) => NtStatus;

interface Request {
  readonly flag: number;
  /**
   * What the caller's token must have enabled. Modelled: that administrators alone could use the interface is known, not
   * which privilege each part asks for.
   */
  readonly privilege?: 'SeLoadDriverPrivilege' | 'SeDebugPrivilege' | 'SeRestorePrivilege';
  readonly handle: Handler;
}

/** Which member of the union is meant, by the first of these flags that is set. */
const REQUESTS: readonly Request[] = [
  {
    flag: FLG_HOTPATCH.MAP_ATOMIC_SWAP,
    privilege: 'SeRestorePrivilege',
    handle: ({ host }, { process }, info) => atomicSwap(host?.disk, process, info),
  },
  {
    flag: FLG_HOTPATCH.RENAME_INFO,
    privilege: 'SeRestorePrivilege',
    handle: ({ host }, { process }, info) => renameFiles(host?.disk, process, info),
  },
  { flag: FLG_HOTPATCH.RELOAD_NTDLL, privilege: 'SeLoadDriverPrivilege', handle: reloadNtdll },
  { flag: FLG_HOTPATCH.KERNEL, privilege: 'SeLoadDriverPrivilege', handle: patchKernel },
  { flag: FLG_HOTPATCH.INJECT_THREAD, privilege: 'SeDebugPrivilege', handle: injectThread },
  {
    flag: FLG_HOTPATCH.NAME_INFO,
    handle: (engine, { process }, info) => patchProcess(engine, process, info),
  },
];

function dispatch(
  engine: EngineServices,
  caller: SetInformationCaller,
  information: CodeInformation,
): NtStatus {
  const { flags } = information;
  if ((flags & ~ALL_FLAGS) !== 0) return ntStatus('STATUS_INVALID_PARAMETER');
  const request = REQUESTS.find(({ flag }) => (flags & flag) !== 0);
  if (request === undefined) return swapCallersCode(engine, caller, information);
  if (!information.isWhole) return ntStatus('STATUS_INFO_LENGTH_MISMATCH');
  const { privilege } = request;
  if (privilege !== undefined && !caller.process.privileges.has(privilege))
    return ntStatus('STATUS_PRIVILEGE_NOT_HELD');
  return request.handle(engine, caller, information);
}

/** CodeInfo: the byte swap that LdrHotPatchRoutine asks for, in the caller's own address space. */
function swapCallersCode(
  engine: EngineServices,
  { domain }: SetInformationCaller,
  information: CodeInformation,
): NtStatus {
  drive(engine.transaction('CodeInfo', (context) => applyCodePatch(context, domain, information)));
  return ntStatus('STATUS_SUCCESS');
}

/** KernelInfo: the hotpatch of a driver. ACTIVE applies or enables it, without ACTIVE it is disabled. */
function patchKernel(
  engine: EngineServices,
  _: SetInformationCaller,
  information: CodeInformation,
): NtStatus {
  if ((information.flags & FLG_HOTPATCH.NAME_INFO) === 0) return ntStatus('STATUS_INVALID_PARAMETER');
  const path = information.name('name');
  const patch = path === undefined ? undefined : engine.openPatch(path);
  if (patch === undefined) return ntStatus('STATUS_OBJECT_NAME_NOT_FOUND');
  const targets = engine.targetsOf(patch).filter(({ domain }) => domain.kind !== 'user');
  if (targets.length === 0) return ntStatus('STATUS_NOT_FOUND');
  engine.patchEach(patch, targets, (information.flags & FLG_HOTPATCH.ACTIVE) !== 0);
  return ntStatus('STATUS_SUCCESS');
}

/** InjectionInfo: the kernel starts LdrHotPatchRoutine in TargetProcess; in every process that has the target when it is 0. */
function injectThread(
  engine: EngineServices,
  { process }: SetInformationCaller,
  information: CodeInformation,
): NtStatus {
  const path = information.name('name');
  const patch = path === undefined ? undefined : engine.openPatch(path, process.domain.architecture.name);
  if (patch === undefined) return ntStatus('STATUS_OBJECT_NAME_NOT_FOUND');
  const handle = information.targetProcess;
  const wanted = isCurrentProcess(handle) ? process : process.handles.get(handle, Process);
  if (wanted === undefined && handle !== 0n) return ntStatus('STATUS_INVALID_HANDLE');
  const targets = engine
    .targetsOf(patch)
    .filter(({ domain }) => domain.kind === 'user' && (wanted === undefined || domain.process === wanted));
  if (targets.length === 0) return ntStatus('STATUS_NOT_FOUND');
  engine.patchEach(patch, targets, (information.flags & FLG_HOTPATCH.ACTIVE) !== 0);
  return ntStatus('STATUS_SUCCESS');
}

/** RELOAD_NTDLL: processes that start from now on map the ntdll that is on disk. */
function reloadNtdll({ host }: EngineServices): NtStatus {
  if (host?.reloadNtdll === undefined) return ntStatus('STATUS_NOT_SUPPORTED');
  host.reloadNtdll();
  return ntStatus('STATUS_SUCCESS');
}
