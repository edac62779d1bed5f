import { ntStatus } from '../../image/index.js';
import type { LoadedImage, Process, ServiceCall, Thread } from '../../loader/index.js';
import { type EngineStep, statusOfError } from '../core/index.js';
import { applyToTarget, isWow64 } from './apply.js';
import { CodeInformation, encodeNames, FLG_HOTPATCH } from './code-information.js';
import type { ApplyContext, EngineServices } from './context.js';
import type { LoadPatch2003Options } from './options.js';
import type { Patch2003 } from './patch.js';

/** ntdll's export that the injected thread begins at (docs/fidelity.md#server-2003). */
export const LDR_HOT_PATCH_ROUTINE = 'LdrHotPatchRoutine';

/** Threads whose routine the engine performs step by step; what they return once they run. */
const performed = new WeakMap<Thread, number>();

const LONGEST_ROUTINE = 1000;

/**
 * A thread in a process that has the target, beginning at ntdll!LdrHotPatchRoutine, with a UserModeInfo in the memory of
 * that process as its argument. Its work is done step by step, so that other threads can run in between; it ends when
 * the last step is done.
 */
export function* injectRoutine(
  context: ApplyContext,
  process: Process,
  patch: Patch2003,
  target: LoadedImage,
  options: LoadPatch2003Options,
): Generator<EngineStep, void> {
  const { kernel } = context.operation;
  const { domain } = process;
  const { pointerSize } = domain.architecture;
  const flags =
    FLG_HOTPATCH.NAME_INFO +
    FLG_HOTPATCH.ACTIVE * Number(options.active !== false) +
    FLG_HOTPATCH.WOW64 * Number(isWow64(domain));
  const names = { name: patch.path, targetName: patch.hotp1.targetName };
  const buffer = encodeNames(flags, names, { pointerSize });
  const address = domain.allocateMemory('pool', buffer.length);
  try {
    domain.addressSpace.write(address, buffer);
    const routine = domain.services.address('ntdll.dll', LDR_HOT_PATCH_ROUTINE);
    const thread = kernel.createThread(routine, [address], { domain, name: LDR_HOT_PATCH_ROUTINE });
    try {
      context.operation.tell(
        'threadInjected',
        `thread ${thread.id} is injected into ${domain.name} at ntdll!${LDR_HOT_PATCH_ROUTINE}${isWow64(domain) ? ' (WOW64)' : ''}`,
      );
      yield* ldrHotPatchRoutine(context, patch, target, options);
      new CodeInformation(domain.addressSpace, address, buffer.length, pointerSize).finish();
      performed.set(thread, ntStatus('STATUS_SUCCESS').value);
      kernel.scheduler.runAlone(thread, LONGEST_ROUTINE);
    } finally {
      kernel.destroyThread(thread);
    }
  } finally {
    domain.freeMemory(address, buffer.length);
  }
}

/** What the routine does in its process: load the hotpatch DLL, match the module, fixups, validations, swap. */
function* ldrHotPatchRoutine(
  context: ApplyContext,
  patch: Patch2003,
  target: LoadedImage,
  options: LoadPatch2003Options,
): Generator<EngineStep, void> {
  yield* applyToTarget(context, patch, target, options);
}

/**
 * LdrHotPatchRoutine as guest code sees it: a function with one parameter, a UserModeInfo. A thread that the engine itself
 * injected returns what its steps came to; anybody else's call does the work now, in the calling process.
 */
export function serveRoutine(engine: EngineServices, call: ServiceCall, address: bigint): number {
  const known = performed.get(call.thread);
  if (known !== undefined) return known;
  const { addressSpace } = call.thread;
  const length = call.memory.readU32(address + 4n);
  call.memory.probe(address, length, 'write');
  const information = new CodeInformation(addressSpace, address, length, call.pointerSize);
  return patchProcess(engine, call.process, information).value;
}

/** The work of the routine for one process, run through, as NTSTATUS. */
export function patchProcess(
  engine: EngineServices,
  process: Process,
  information: CodeInformation,
): ReturnType<typeof ntStatus> {
  try {
    if (!information.isWhole) return ntStatus('STATUS_INFO_LENGTH_MISMATCH');
    const path = information.name('name');
    const patch = path === undefined ? undefined : engine.openPatch(path);
    if (patch === undefined) return ntStatus('STATUS_OBJECT_NAME_NOT_FOUND');
    const wanted = information.name('targetName') ?? '';
    if (wanted !== '' && wanted.toLowerCase() !== patch.hotp1.targetName.toLowerCase())
      return ntStatus('STATUS_REVISION_MISMATCH');
    const targets = engine.targetsOf(patch).filter(({ domain }) => domain === process.domain);
    const [target] = targets;
    if (target === undefined) return ntStatus('STATUS_NOT_FOUND');
    engine.patchOne(patch, target, (information.flags & FLG_HOTPATCH.ACTIVE) !== 0);
    information.finish();
    return ntStatus('STATUS_SUCCESS');
  } catch (error) {
    const status = statusOfError(error);
    if (status === undefined) throw error;
    return status;
  }
}
