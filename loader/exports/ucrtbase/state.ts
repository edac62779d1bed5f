import { failFast, type ServiceCall } from '../../dispatch/index.js';
import { CONTEXT_SET, type ServiceResult } from '../../threads/index.js';

/** errno.h of the universal C runtime. */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EIO: 5,
  EBADF: 9,
  ENOMEM: 12,
  EACCES: 13,
  EEXIST: 17,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  EMFILE: 24,
  ENOSPC: 28,
  EDOM: 33,
  ERANGE: 34,
  ENOTEMPTY: 41,
  EILSEQ: 42,
} as const;

/** Offsets in what the runtime keeps for a thread. */
export const THREAD = {
  errno: 0n,
  doserrno: 4n,
  /** One more than the state of rand(), so that zeros are the state 1 that a thread begins with. */
  rand: 8n,
  strtok: 0x10n,
  wcstok: 0x18n,
  invalidParameterHandler: 0x20n,
  tm: 0x40n,
  asctime: 0x80n,
  wasctime: 0xc0n,
  strerror: 0x140n,
  wcserror: 0x240n,
  terminate: 0x440n,
} as const;

/** Offsets in what the runtime keeps for a process. */
export const PROCESS = {
  invalidParameterHandler: 0n,
  newHandler: 8n,
  fmode: 0x10n,
  umask: 0x14n,
  commode: 0x18n,
  environ: 0x20n,
  wenviron: 0x28n,
  argc: 0x30n,
  argv: 0x38n,
  wargv: 0x40n,
  acmdln: 0x48n,
  daylight: 0x50n,
  dstbias: 0x54n,
  timezone: 0x58n,
  tzname: 0x60n,
  pctype: 0x70n,
  initialNarrowEnvironment: 0x78n,
  atexit: 0x80n,
  quickExit: 0xa0n,
  lconv: 0x100n,
  lconvText: 0x1c0n,
  locale: 0x1e0n,
  purecallHandler: 0x1f0n,
  random: 0x1f8n,
  environmentBlock: 0x1e8n,
  ctype: 0x200n,
  text: 0x500n,
  descriptors: 0x800n,
  streams: 0x1000n,
  outputLine: 0x2000n,
  errorLine: 0x2800n,
} as const;

/** Address in the thread's runtime data; undefined for code that has no user thread around it (a driver). */
export function threadData({ process, thread }: ServiceCall, offset: bigint): bigint | undefined {
  return thread.teb === undefined || process.environment === undefined
    ? undefined
    : process.environment.runtimeThreadData(thread.teb) + offset;
}

export function processData({ process }: ServiceCall, offset: bigint): bigint {
  return (process.environment?.runtimeData ?? 0n) + offset;
}

export function setErrno(call: ServiceCall, value: number): void {
  const at = threadData(call, THREAD.errno);
  if (at !== undefined) call.memory.writeU32(at, value);
}

/** Sets errno and gives the result that goes with it. */
export function failed<T>(call: ServiceCall, error: number, result: T): T {
  setErrno(call, error);
  return result;
}

const FAST_FAIL_INVALID_ARG = 5;

/**
 * What the runtime does about an argument that makes no sense: the handler that the program set is called and the function
 * returns `result` with errno EINVAL or `error`; without one the process ends (`_invoke_watson`).
 */
export function invalidParameter<T extends bigint | number>(
  call: ServiceCall,
  name: string,
  result: T,
  error: number = ERRNO.EINVAL,
): ServiceResult {
  if (threadData(call, 0n) === undefined) return result;
  setErrno(call, error);
  const own = threadData(call, THREAD.invalidParameterHandler);
  const handler =
    (own === undefined ? 0n : call.memory.readPointer(own)) ||
    call.memory.readPointer(processData(call, PROCESS.invalidParameterHandler));
  if (handler === 0n) {
    failFast(call, FAST_FAIL_INVALID_ARG, `invalid parameter of ${name}`);
    return CONTEXT_SET;
  }
  return (function* () {
    yield { target: handler, arguments: [0n, 0n, 0n, 0n, 0n] };
    return result;
  })();
}
