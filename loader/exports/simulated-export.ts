import type { Processor } from '../../cpu/index.js';
import type { Blocked } from '../common/wait.js';
import type { Kernel } from '../kernel.js';
import type { GuestMemory } from '../memory/guest-memory.js';
import type { ImageDomain } from '../memory/image-domain.js';
import type { Process } from '../processes/process.js';
import type { GuestProcedure } from '../threads/guest-call.js';
import type { Thread } from '../threads/thread.js';

/** What one argument of a simulated export is, and the TypeScript type that its handler receives. */
export interface ArgumentTypes {
  u32: number;
  i32: number;
  u64: bigint;
  /** SIZE_T and other pointer-sized integers. */
  size: bigint;
  pointer: bigint;
  /** NUL-terminated bytes, read from the guest; '' for a null pointer. */
  cstring: string;
  /** NUL-terminated UTF-16. */
  wstring: string;
  /** UNICODE_STRING. */
  ustring: string;
}
export type ArgumentType = keyof ArgumentTypes;

type Values<T extends readonly ArgumentType[]> = { [K in keyof T]: ArgumentTypes[T[K] & ArgumentType] };

/** A call from guest code into a simulated export or a system service, while it is being served. */
export interface ServiceCall {
  readonly kernel: Kernel;
  /** What the calling code can see. */
  readonly domain: ImageDomain;
  /** The process on whose behalf it runs. */
  readonly process: Process;
  readonly thread: Thread;
  readonly processor: Processor;
  /** Guest memory as the calling code may use it: the only way to it. */
  readonly memory: GuestMemory;
  /** Bytes of a pointer of the calling code. */
  readonly pointerSize: 4 | 8;
  /** Raw argument number `index` (0 is the first), also beyond the declared ones (variadic functions). */
  argument(index: number): bigint;
}

/**
 * What a handler returns: the result, nothing, that the thread now waits, that it has set all registers (program counter
 * too) itself, or a procedure that calls guest code before it has a result.
 */
export type ServiceResult =
  | bigint
  | number
  | Blocked
  | GuestProcedure
  | typeof CONTEXT_SET
  | undefined
  // biome-ignore lint/suspicious/noConfusingVoidType: a handler without a result is written as one without a return.
  | void;

export const CONTEXT_SET = Symbol('the handler has set the registers');

/** One export of a simulated module. */
export interface SimulatedExport {
  readonly name: string;
  readonly parameters: readonly ArgumentType[];
  /** `stdcall` and `cdecl` differ on x86 only: who removes the arguments from the stack. */
  readonly convention: 'stdcall' | 'cdecl';
  serve(call: ServiceCall): ServiceResult;
}

/** A module that has no image, only exports implemented here: `ntoskrnl.exe`. */
export interface SimulatedModule {
  readonly name: string;
  readonly exports: readonly SimulatedExport[];
}

/** Declares a simulated export with typed arguments. Returning undefined means a function without a result. */
export function defineExport<const T extends readonly ArgumentType[]>(
  name: string,
  parameters: T,
  handler: (call: ServiceCall, ...values: Values<T>) => ServiceResult,
  convention: 'stdcall' | 'cdecl' = 'stdcall',
): SimulatedExport {
  return {
    name,
    parameters,
    convention,
    serve(call) {
      const values = readArguments(call, parameters) as unknown as Values<T>;
      return handler(call, ...values);
    },
  };
}

/** 32-bit stacks hold a 64-bit argument in two slots. */
export function readArguments(
  call: ServiceCall,
  parameters: readonly ArgumentType[],
): (number | bigint | string)[] {
  const { pointerSize } = call;
  let slot = 0;
  return parameters.map((type) => {
    let raw = call.argument(slot++);
    if (type === 'u64' && pointerSize === 4) raw |= call.argument(slot++) << 32n;
    switch (type) {
      case 'u32':
        return Number(BigInt.asUintN(32, raw));
      case 'i32':
        return Number(BigInt.asIntN(32, raw));
      case 'cstring':
        return raw === 0n ? '' : call.memory.readCString(raw);
      case 'wstring':
        return raw === 0n ? '' : call.memory.readUtf16(raw);
      case 'ustring':
        return raw === 0n ? '' : call.memory.readUnicodeString(raw);
      case 'u64':
        return BigInt.asUintN(64, raw);
      default:
        return BigInt.asUintN(pointerSize * 8, raw);
    }
  });
}

interface Memory {
  readU32(address: bigint): number;
  readU64(address: bigint): bigint;
  writeU32(address: bigint, value: number): void;
  writeU64(address: bigint, value: bigint): void;
}

export function readPointer(memory: Memory, address: bigint, pointerSize: 4 | 8): bigint {
  return pointerSize === 8 ? memory.readU64(address) : BigInt(memory.readU32(address));
}

export function writePointer(memory: Memory, address: bigint, value: bigint, pointerSize: 4 | 8): void {
  if (pointerSize === 8) memory.writeU64(address, BigInt.asUintN(64, value));
  else memory.writeU32(address, Number(BigInt.asUintN(32, value)));
}

/** Bytes of arguments that the callee removes from the stack: x86 stdcall functions only. */
export function calleePops(entry: SimulatedExport, pointerSize: 4 | 8): number {
  if (pointerSize === 8 || entry.convention === 'cdecl') return 0;
  return entry.parameters.reduce((sum, type) => sum + (type === 'u64' ? 8 : 4), 0);
}
