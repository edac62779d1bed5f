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
  /** What it reads, part by part ({@link partsOfRegister}): `cl` is a part of `rcx`, and compilers use it as a register. */
  readonly readParts: readonly string[];
  /** The parts that it writes whatever was in them: of `sete cl` the least byte. */
  readonly writtenParts: readonly string[];
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

/** The parts of a register: its least byte, as `cl`; the byte above it, as `ch`; and the rest, under the name of the whole. */
export function partsOfRegister(name: string): readonly [rest: string, least: string, high: string] {
  return [name, `${name}:least`, `${name}:high`];
}
