import type { LibraryHandle } from 'koffi';
import { CpuError } from '../error.js';
import { unicornErrorName } from './constants.js';
import { requireUnicorn } from './find.js';
import { type Guard, guardOf } from './guard.js';
import { koffi } from './koffi.js';

/** A `uc_engine *`, a `uc_context *` or another address in this process. */
export type HostPointer = bigint;

type Out = BigUint64Array;
type Registers = Int32Array;

/** The functions of libunicorn that this project calls; all but the first return a `uc_err`. */
export interface UnicornFunctions {
  contextSize(engine: HostPointer): number;
  open(architecture: number, mode: number, engine: Out): number;
  close(engine: HostPointer): number;
  control(engine: HostPointer, control: number, ...typedValues: (string | number | bigint)[]): number;
  mapMemory(
    engine: HostPointer,
    physical: bigint,
    size: number,
    permissions: number,
    host: Uint8Array,
  ): number;
  unmapMemory(engine: HostPointer, physical: bigint, size: number): number;
  hookAdd(
    engine: HostPointer,
    hook: Out,
    kind: number,
    callback: HostPointer,
    userData: bigint,
    begin: bigint,
    end: bigint,
    ...instruction: (string | number)[]
  ): number;
  hookDelete(engine: HostPointer, hook: bigint): number;
  start(engine: HostPointer, begin: bigint, until: bigint, timeout: bigint, count: number): number;
  stop(engine: HostPointer): number;
  /** Address of `uc_emu_stop`, for machine code. */
  readonly stopAddress: HostPointer;
  readRegister(engine: HostPointer, register: number, value: BigUint64Array): number;
  writeRegister(engine: HostPointer, register: number, value: BigUint64Array): number;
  readRegisters(engine: HostPointer, registers: Registers, values: BigUint64Array, count: number): number;
  contextAllocate(engine: HostPointer, context: Out): number;
  contextSave(engine: HostPointer, context: HostPointer): number;
  contextRestore(engine: HostPointer, context: HostPointer): number;
  contextFree(context: HostPointer): number;
}

let functions: UnicornFunctions | undefined;
let guard: Guard | undefined;

/** Loads libunicorn on first use. Throws UnicornMissing when there is none that is new enough. */
export function unicorn(): UnicornFunctions {
  functions ??= load(requireUnicorn().path);
  return functions;
}

/** {@link Guard.state}, or a word that nobody looks at. */
let guardState: Uint32Array = new Uint32Array(1);

/** To be called when a callback of an engine begins; its answer goes to {@link leaveCallback}. */
export function enterCallback(): number {
  const before = guardState[0] ?? 0;
  guardState[0] = 0;
  return before;
}

export function leaveCallback(before: number): void {
  guardState[0] = before;
}

/** Whether a failed assertion of Unicorn's translator is the guest's invalid instruction and not the end of the process. */
export function isGuarded(): boolean {
  unicorn();
  return guard !== undefined;
}

function load(path: string): UnicornFunctions {
  let library: LibraryHandle;
  try {
    library = koffi().load(path);
  } catch (cause) {
    throw new CpuError('unicornNotLoaded', `${path} cannot be loaded`, {
      status: 'STATUS_DLL_NOT_FOUND',
      cause,
    });
  }
  const address = 'void *';
  const bind = (name: string, ...parameters: string[]) => library.func(name, 'int', parameters);
  const start = bind('uc_emu_start', address, 'uint64_t', 'uint64_t', 'uint64_t', 'size_t');
  guard = guardOf(BigInt(koffi().address(library.symbol('uc_emu_start'))));
  if (guard !== undefined) guardState = guard.state;
  return {
    contextSize: library.func('uc_context_size', 'size_t', [address]),
    open: bind('uc_open', 'int', 'int', address),
    close: bind('uc_close', address),
    control: bind('uc_ctl', address, 'uint32_t', '...'),
    mapMemory: bind('uc_mem_map_ptr', address, 'uint64_t', 'size_t', 'uint32_t', address),
    unmapMemory: bind('uc_mem_unmap', address, 'uint64_t', 'size_t'),
    hookAdd: bind('uc_hook_add', address, address, 'int', address, 'uint64_t', 'uint64_t', 'uint64_t', '...'),
    hookDelete: bind('uc_hook_del', address, 'size_t'),
    start: guard?.start ?? start,
    stop: bind('uc_emu_stop', address),
    stopAddress: BigInt(koffi().address(library.symbol('uc_emu_stop'))),
    readRegister: bind('uc_reg_read', address, 'int', address),
    writeRegister: bind('uc_reg_write', address, 'int', address),
    readRegisters: bind('uc_reg_read_batch', address, address, address, 'int'),
    contextAllocate: bind('uc_context_alloc', address, address),
    contextSave: bind('uc_context_save', address, address),
    contextRestore: bind('uc_context_restore', address, address),
    contextFree: bind('uc_context_free', address),
  };
}

export function check(code: number, doing: string): void {
  if (code === 0) return;
  throw new CpuError('unicorn', `Unicorn answered ${unicornErrorName(code)} to ${doing}`, {
    status: 'STATUS_INTERNAL_ERROR',
  });
}
