import { ntStatus } from '../../image/index.js';
import { blocked } from '../common/index.js';
import type { ServiceCall } from '../dispatch/index.js';
import { isCurrentProcess, Process } from '../processes/index.js';
import { CONTEXT_SET, finishThread, type ServiceResult } from '../threads/index.js';
import type { SystemServices } from './system-services.js';
import { deadlineOf } from './timeouts.js';

const STATUS_SUCCESS = 0;
const INVALID_HANDLE = ntStatus('STATUS_INVALID_HANDLE').value;

/** (ProcessHandle, ExitStatus) */
function terminateProcess(call: ServiceCall): ServiceResult {
  const own = isCurrentProcess(call.argument(0)) || call.argument(0) === 0n;
  const process = own ? call.process : call.process.handles.get(call.argument(0), Process);
  if (process === undefined) return INVALID_HANDLE;
  const status = Number(BigInt.asUintN(32, call.argument(1)));
  if (process !== call.process) {
    process.terminate(status);
    return STATUS_SUCCESS;
  }
  end(call, status);
  process.terminate(status);
  return CONTEXT_SET;
}

/** (ThreadHandle, ExitStatus): the calling thread */
function terminateThread(call: ServiceCall): ServiceResult {
  end(call, Number(BigInt.asUintN(32, call.argument(1))));
  return CONTEXT_SET;
}

function end({ thread }: ServiceCall, status: number): void {
  finishThread(thread, BigInt(status));
}

export function defineProcessServices(services: SystemServices): void {
  services.define('NtTerminateProcess', terminateProcess);
  services.define('NtTerminateThread', terminateThread);
  // (Alertable, *DelayInterval)
  services.define('NtDelayExecution', (call) => {
    const deadline = deadlineOf(call, call.argument(1));
    return blocked({
      reason: 'its delay to end',
      inMemory: true,
      ready: () => undefined,
      timeoutResult: 0n,
      ...(deadline === undefined ? {} : { deadline }),
    });
  });
}
