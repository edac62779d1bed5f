import type { Arm64Encoder } from '../encode/arm64.js';
import type { X86Encoder } from '../encode/x86.js';
import { CpuError } from '../error.js';
import type { Processor } from '../processor.js';
import type { CpuRule } from '../rules.js';
import type { EngineKind } from '../unicorn/engine.js';
import type { RegisterFile } from '../unicorn/registers.js';

export type ArchitectureName = 'x64' | 'arm64' | 'x86';

/** 0 is kernel mode (ring 0, EL1), 3 user mode (ring 3, EL0). */
export type Ring = 0 | 3;

export type CallArgument = bigint | number | { readonly float: number } | { readonly double: number };

export interface Call {
  readonly target: bigint;
  readonly arguments: readonly CallArgument[];
  /** First address behind the stack memory that the call may use; need not be aligned. */
  readonly stackTop: bigint;
}

/** An instruction set with the calling convention of Windows on it; `name` tells which `encode` there is. */
export type Architecture =
  | (ArchitectureBase & { readonly name: 'x64' | 'x86'; readonly encode: X86Encoder })
  | (ArchitectureBase & { readonly name: 'arm64'; readonly encode: Arm64Encoder });

export interface ArchitectureBase {
  /** Of the kernel below: programs of x86 run on an x64 one, under WOW64. */
  readonly system: 'x64' | 'arm64';
  readonly pointerSize: 4 | 8;
  /** Bits of an address; what is above them is cut off. */
  readonly addressBits: 32 | 64;
  /** Must bits 48 to 63 of an address repeat bit 47, or is using it a fault of its own kind (Intel SDM vol. 1, 3.3.7.1)? */
  readonly hasNoncanonical: boolean;
  readonly programCounter: string;
  readonly stackPointer: string;
  /** Where user code finds its TEB. */
  readonly threadRegister: 'gs.base' | 'fs.base' | 'x18';
  /** General registers in the order of the processor manual, then pc and flags. */
  readonly registers: readonly string[];
  /** In bytes, at a call instruction. */
  readonly stackAlignment: number;
  /** Bytes of the return address that a call leaves on the stack; 0 where it is in a register. */
  readonly returnAddressSize: 0 | 4 | 8;
  /** In bytes; instructions lie at multiples of it. */
  readonly minimumInstructionLength: 1 | 4;
  readonly maximumInstructionLength: number;
  /**
   * Are frames unwound by tables of the image, or by a chain of EXCEPTION_REGISTRATION_RECORDs that begins in the TEB?
   * https://learn.microsoft.com/cpp/build/exception-handling-x64
   */
  readonly hasUnwindTables: boolean;
  /**
   * Do `__cdecl`, `__stdcall` and `__fastcall` differ, or are they accepted and ignored?
   * https://learn.microsoft.com/cpp/cpp/argument-passing-and-naming-conventions
   */
  readonly distinguishesConventions: boolean;
  /** Are floating-point arguments counted apart from the others? */
  readonly countsFloatsApart: boolean;
  /** A fetch from here ends the run as `returned`. Not in any page table. */
  readonly returnAddress: bigint;
  /** What service pages and padding are filled with. */
  readonly breakpoint: Uint8Array;
  /** @internal */
  readonly engine: EngineKind;
  /** @internal */
  readonly registerFile: RegisterFile;
  /** Where a new processor starts. */
  readonly initialMode: { readonly ring: Ring; readonly bits: 32 | 64 };

  /** Where the branch or call at `at` goes; undefined for every other instruction. */
  branchTarget(bytes: Uint8Array, at: bigint): bigint | undefined;
  /** In bytes. Loads the x86 decoder on first use. */
  instructionLength(bytes: Uint8Array, at: bigint): number;

  /** Sets registers, stack and return address so that running calls `target` and comes back with `returned`. */
  prepareCall(processor: Processor, call: Call): void;
  /** Where {@link argument} `index` lies on the stack; undefined when it is in a register. */
  stackArgument(processor: Processor, index: number): bigint | undefined;
  /** Integer or pointer argument `index`, at function entry or in a service call. */
  argument(processor: Processor, index: number): bigint;
  /** As {@link argument}, for a double; `single` for a float. */
  floatArgument(processor: Processor, index: number, size?: 'single' | 'double'): number;
  result(processor: Processor): bigint;
  setResult(processor: Processor, value: bigint): void;
  floatResult(processor: Processor, size?: 'single' | 'double'): number;
  setFloatResult(processor: Processor, value: number, size?: 'single' | 'double'): void;
  returnAddressAtEntry(processor: Processor): bigint;
  /** Does what the function's return instruction would do. `calleePops`: bytes of arguments (stdcall). */
  returnFromCall(processor: Processor, options?: { readonly calleePops?: number }): void;
}

const conversion = new DataView(new ArrayBuffer(8));

/** The bits of a call argument as they lie in a register, and whether it goes into a floating-point one. */
export function argumentBits(argument: CallArgument): { readonly bits: bigint; readonly isFloat: boolean } {
  if (typeof argument === 'bigint' || typeof argument === 'number') {
    if (typeof argument === 'number' && !Number.isSafeInteger(argument))
      throw invalid(
        'callArgument',
        `${argument} is no integer argument; write { double: ${argument} } for a floating-point one, a bigint for a large one`,
      );
    const value = BigInt(argument);
    const bits = BigInt.asUintN(64, value);
    if (bits !== value && BigInt.asIntN(64, value) !== value)
      throw invalid('callArgument', `${argument} does not fit into 64 bits`);
    return { bits, isFloat: false };
  }
  if (typeof argument !== 'object' || argument === null || !('float' in argument || 'double' in argument))
    throw invalid('callArgument', `${String(argument)} is no argument: give a number or a bigint`);
  if ('float' in argument) return { bits: floatBits(argument.float, 'single'), isFloat: true };
  return { bits: floatBits(argument.double, 'double'), isFloat: true };
}

/** Bytes of `count` things of `size` bytes. Throws CpuError `argumentIndex` unless there can be so many of them. */
export function byteOffset(count: number, size: number): bigint {
  if (!Number.isSafeInteger(count) || count < 0 || count > 0xffff_ffff)
    throw invalid('argumentIndex', `${count} is no index of an argument and no count of bytes`);
  return BigInt(count * size);
}

const invalid = (rule: CpuRule, message: string): CpuError =>
  new CpuError(rule, message, { status: 'STATUS_INVALID_PARAMETER' });

export function floatBits(value: number, size: 'single' | 'double'): bigint {
  if (size === 'single') {
    conversion.setFloat32(0, value, true);
    return BigInt(conversion.getUint32(0, true));
  }
  conversion.setFloat64(0, value, true);
  return conversion.getBigUint64(0, true);
}

export function bitsToFloat(bits: bigint, size: 'single' | 'double'): number {
  conversion.setBigUint64(0, BigInt.asUintN(64, bits), true);
  return size === 'single' ? conversion.getFloat32(0, true) : conversion.getFloat64(0, true);
}
