import type { Architecture } from '../../cpu/index.js';
import type { ServiceResult } from '../threads/index.js';
import type { ServiceCall } from './service-call.js';

/** What one argument of a simulated export is, and the TypeScript type that its handler receives. */
export interface ArgumentTypes {
  u32: number;
  i32: number;
  u64: bigint;
  i64: bigint;
  /** float and double: in registers of their own on x64 and ARM64. */
  f32: number;
  f64: number;
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
/** How an argument is read from a call: the name of its C type. */
export type ArgumentType = keyof ArgumentTypes;

/**
 * They differ on x86 only: who removes the arguments from the stack; of `fastcall` the first two, if they are 32 bits wide,
 * come in ecx and edx.
 */
export type CallingConvention = 'stdcall' | 'cdecl' | 'fastcall';

/** One export of a simulated module. */
export interface SimulatedExport {
  /** As it is imported: `NtReadFile`. */
  readonly name: string;
  /** Types of its parameters, in order. */
  readonly parameters: readonly ArgumentType[];
  /** Who removes the arguments from the stack, on x86. */
  readonly convention: CallingConvention;
  /** Does what it does, when guest code calls it. */
  serve(call: ServiceCall): ServiceResult;
}

/** A simulated export that has an address. */
export interface PlacedExport {
  readonly module: string;
  readonly entry: SimulatedExport;
}

/** A module that has no image, only exports implemented here: `ntoskrnl.exe`. */
export interface SimulatedModule {
  /** File name of the module. */
  readonly name: string;
  /** All that it exports. */
  readonly exports: readonly SimulatedExport[];
}

/** Arguments come in slots of a pointer's size: so many hold one of 64 bits. */
export const SLOTS_OF_64_BITS: Readonly<Record<4 | 8, 1 | 2>> = { 4: 2, 8: 1 };

export const is64 = (type: ArgumentType): boolean => type === 'u64' || type === 'i64';

/** Bytes of arguments that the callee removes from the stack, where conventions differ: those that are not cdecl. */
export function calleePops(
  entry: SimulatedExport,
  { distinguishesConventions }: Pick<Architecture, 'distinguishesConventions'>,
): number {
  if (!distinguishesConventions || entry.convention === 'cdecl') return 0;
  const onStack = entry.convention === 'fastcall' ? entry.parameters.slice(2) : entry.parameters;
  return onStack.reduce((sum, type) => sum + (is64(type) || type === 'f64' ? 8 : 4), 0);
}
