import { ntStatus } from '../../image/index.js';
import {
  type Blocked,
  blocked,
  type Kernel,
  type Process,
  type ServiceCall,
  type Thread,
} from '../../loader/index.js';
import { statusOfError } from '../core/index.js';
import { isWow64 } from './apply.js';
import { CodeInformation, encodeNames, FLG_HOTPATCH } from './code-information.js';
import type { ApplyContext, EngineServices } from './context.js';
import type { Patch2003 } from './patch.js';

/** ntdll's export that the injected thread begins at (docs/fidelity.md#server-2003). */
export const LDR_HOT_PATCH_ROUTINE = 'LdrHotPatchRoutine';

/** Threads that the engine has injected, and what their routine returns once its work is done. */
const injected = new WeakMap<Thread, { status: bigint | undefined }>();

const LONGEST_ROUTINE = 1000;

/**
 * A thread in a process that has the target, beginning at ntdll!LdrHotPatchRoutine, with a UserModeInfo in the memory of
 * that process as its argument. Its work is done step by step by the engine, so that other threads can run in between; if it
 * comes to run before the last step, it waits for it.
 */
export class InjectedRoutine implements Disposable {
  private constructor(
    private readonly kernel: Kernel,
    private readonly thread: Thread,
    private readonly information: CodeInformation,
    private readonly work: { status: bigint | undefined },
  ) {}

  static inject(
    { operation }: ApplyContext,
    { domain }: Process,
    { path, hotp1: { targetName } }: Patch2003,
    active: boolean,
  ): InjectedRoutine {
    const { kernel } = operation;
    const { pointerSize } = domain.architecture;
    const flags =
      FLG_HOTPATCH.NAME_INFO +
      FLG_HOTPATCH.ACTIVE * Number(active) +
      FLG_HOTPATCH.WOW64 * Number(isWow64(domain));
    const buffer = encodeNames(flags, { name: path, targetName }, { pointerSize });
    const address = domain.allocateMemory('pool', buffer.length);
    try {
      domain.addressSpace.write(address, buffer);
      const routine = domain.services.address('ntdll.dll', LDR_HOT_PATCH_ROUTINE);
      const thread = kernel.createThread(routine, [address], { domain, name: LDR_HOT_PATCH_ROUTINE });
      const work = { status: undefined };
      injected.set(thread, work);
      operation.tell(
        'threadInjected',
        `thread ${thread.id} is injected into ${domain.name} at ntdll!${LDR_HOT_PATCH_ROUTINE}${isWow64(domain) ? ' (WOW64)' : ''}`,
      );
      const information = new CodeInformation(domain.addressSpace, address, buffer.length, pointerSize);
      return new InjectedRoutine(kernel, thread, information, work);
    } catch (error) {
      domain.freeMemory(address, buffer.length);
      throw error;
    }
  }

  /** Its work is done: it returns, where its process has not ended meanwhile. */
  finish(): void {
    if (this.thread.domain.process?.terminated === true) return;
    this.information.finish();
    this.work.status = BigInt(ntStatus('STATUS_SUCCESS').value);
    this.kernel.scheduler.runAlone(this.thread, LONGEST_ROUTINE);
  }

  [Symbol.dispose](): void {
    this.kernel.destroyThread(this.thread);
    this.thread.domain.freeMemory(this.information.address, this.information.length);
  }
}

/**
 * LdrHotPatchRoutine as guest code sees it: a function with one parameter, a UserModeInfo. A thread that the engine itself
 * injected waits, and returns what its steps came to; anybody else's call does the work now, in the calling process.
 */
export function serveRoutine(engine: EngineServices, call: ServiceCall, address: bigint): Blocked | number {
  const routine = injected.get(call.thread);
  if (routine !== undefined) return blocked({ reason: 'its hotpatch', ready: () => routine.status });
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
    const patch = path === undefined ? undefined : engine.openPatch(path, process.domain.architecture.name);
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
