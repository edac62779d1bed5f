import type { ServiceResult } from '../threads/index.js';
import type { ServiceCall } from './service-call.js';

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

/** Bytes of arguments that the callee removes from the stack: x86 stdcall functions only. */
export function calleePops(entry: SimulatedExport, pointerSize: 4 | 8): number {
  if (pointerSize === 8 || entry.convention === 'cdecl') return 0;
  return entry.parameters.reduce((sum, type) => sum + (type === 'u64' ? 8 : 4), 0);
}
