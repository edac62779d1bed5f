import type { ArchitectureName } from '../architecture/architecture.js';
import { registersArm64 } from './registers-arm64.js';
import { registersX86 } from './registers-x86.js';

/** A place on the stack, or elsewhere, that an instruction names by a register and a distance. */
export interface MemoryUse {
  /** The whole register: `rsp`. */
  readonly base: string;
  /** In bytes, signed. */
  readonly displacement: number;
  readonly isRead: boolean;
  readonly isWritten: boolean;
}

/** The registers of an instruction by the names of the whole ones: `rcx` for `cl`, `xmm0`, `x0` for `w0`, `v0` for `d0`. */
export interface RegisterUse {
  readonly reads: readonly string[];
  /** Written as a whole, whatever was in them. */
  readonly writes: readonly string[];
  /** Changed in part, or only under a condition. */
  readonly changes: readonly string[];
  /** Of those written: no operand names them, as `rdx` of `div`. */
  readonly implicit: readonly string[];
  /** x64 and x86 only. */
  readonly memory: readonly MemoryUse[];
  /** What it adds to the stack pointer, in bytes; undefined when that is not in the instruction. x64 and x86 only. */
  readonly stackPointerIncrement?: number;
  /** Compares its operands, and keeps only the flags. */
  readonly isComparison: boolean;
  /** A comparison with a number in the instruction. */
  readonly comparesConstant: boolean;
  /** Copies a register into another. */
  readonly isMove: boolean;
  /** Stores a register only to restore it later, as far as the form tells. */
  readonly isPush: boolean;
}

/** What the instruction that `bytes` begins with reads and writes. System registers and flags are left out. */
export function registerUse(architecture: ArchitectureName, bytes: Uint8Array, at: bigint): RegisterUse {
  return READERS[architecture](bytes, at);
}

const READERS: Readonly<Record<ArchitectureName, (bytes: Uint8Array, at: bigint) => RegisterUse>> = {
  x64: (bytes, at) => registersX86(64, bytes, at),
  x86: (bytes, at) => registersX86(32, bytes, at),
  arm64: registersArm64,
};
