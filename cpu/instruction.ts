import type { ArchitectureName } from './architecture/architecture.js';
import { arm64Facts, retargetArm64 } from './instruction/arm64.js';
import { retargetX86, x86Facts, x86Instructions } from './instruction/x86.js';

/**
 * Where execution goes after an instruction.
 * - `next`: to the following instruction only
 * - `jump`, `conditionalJump`, `call`: `target` is given
 * - `indirectJump`, `indirectCall`: through a register or memory (far branches too)
 * - `return`: return from a call, interrupt or exception
 * - `systemCall`: `syscall`, `sysenter`, `svc`, and calls of a hypervisor or monitor
 * - `interrupt`: `int n`, `int 3`, `brk`, `hlt` of ARM64
 * - `undefined`: `ud2`, `udf`: always faults
 * - `invalid`: no instruction of this architecture, or cut off by the end of the bytes
 */
export type InstructionFlow =
  | 'next'
  | 'jump'
  | 'conditionalJump'
  | 'call'
  | 'indirectJump'
  | 'indirectCall'
  | 'return'
  | 'systemCall'
  | 'interrupt'
  | 'undefined'
  | 'invalid';

/** An operand whose encoding depends on the address of its own instruction. */
export interface PcRelativeOperand {
  /**
   * `branch`: code address. `memory`: x64 RIP-relative memory operand. `address`: ADR. `page`: ADRP, the target is the
   * address of a 4 KB page. `literal`: ARM64 load or prefetch from near the instruction.
   */
  readonly kind: 'branch' | 'memory' | 'address' | 'page' | 'literal';
  readonly target: bigint;
}

export interface InstructionFacts {
  /** In bytes; of an `invalid` instruction what a disassembler skips (1; ARM64: 4). */
  readonly length: number;
  readonly flow: InstructionFlow;
  /** Of a direct branch. */
  readonly target?: bigint;
  readonly pcRelative?: PcRelativeOperand;
  /**
   * The processor fetches what follows anew. x86, x64: the serialising instructions of Intel SDM vol. 3, "Serializing
   * Instructions". ARM64: ISB and the exception returns (context synchronization events that are instructions).
   */
  readonly serialising: boolean;
}

/** One of several instructions that follow each other. */
export interface DecodedInstruction extends Pick<InstructionFacts, 'length' | 'flow' | 'pcRelative'> {
  /** From the first byte, in bytes. */
  readonly offset: number;
  /** The bytes of the instruction that hold the distance of its PC-relative operand; undefined where it is no whole bytes. */
  readonly field: { readonly offset: number; readonly size: number } | undefined;
}

/** The instructions of `bytes`, from the first byte to the last, with what {@link instructionFacts} says of each. */
export function instructionsOf(
  architecture: ArchitectureName,
  bytes: Uint8Array,
  at: bigint,
): readonly DecodedInstruction[] {
  return DECODERS[architecture].all(bytes, at);
}

/** Facts about the instruction that `bytes` begins with. Only the first 15 bytes (ARM64: 4) are looked at. */
export function instructionFacts(
  architecture: ArchitectureName,
  bytes: Uint8Array,
  at: bigint,
): InstructionFacts {
  return DECODERS[architecture].facts(bytes, at);
}

/** {@link InstructionFacts.length} alone. */
export function instructionLength(architecture: ArchitectureName, bytes: Uint8Array, at: bigint): number {
  return DECODERS[architecture].length(bytes, at);
}

/**
 * The instruction, encoded to stand at `at` and to mean `target` by its PC-relative operand. Throws CpuError
 * `branchOutOfRange` when its form does not reach, `notPcRelative` when it has no such operand.
 */
export function retarget(
  architecture: ArchitectureName,
  bytes: Uint8Array,
  at: bigint,
  target: bigint,
): Uint8Array {
  return DECODERS[architecture].retarget(bytes, at, target);
}

interface Decoder {
  all(bytes: Uint8Array, at: bigint): DecodedInstruction[];
  facts(bytes: Uint8Array, at: bigint): InstructionFacts;
  length(bytes: Uint8Array, at: bigint): number;
  retarget(bytes: Uint8Array, at: bigint, target: bigint): Uint8Array;
}

const x86Decoder = (bits: 32 | 64): Decoder => ({
  all: (bytes, at) => x86Instructions(bits, bytes, at),
  facts: (bytes, at) => x86Facts(bits, bytes, at),
  length: (bytes, at) => x86Facts(bits, bytes, at).length,
  retarget: (bytes, at, target) => retargetX86(bits, bytes, at, target),
});

const DECODERS: Readonly<Record<ArchitectureName, Decoder>> = {
  x64: x86Decoder(64),
  x86: x86Decoder(32),
  arm64: { all: arm64Instructions, facts: arm64Facts, length: () => 4, retarget: retargetArm64 },
};

function arm64Instructions(bytes: Uint8Array, at: bigint): DecodedInstruction[] {
  return Array.from({ length: Math.ceil(bytes.length / 4) }, (_, index) => ({
    ...arm64Facts(bytes.subarray(index * 4), at + BigInt(index * 4)),
    offset: index * 4,
    field: undefined,
  }));
}
