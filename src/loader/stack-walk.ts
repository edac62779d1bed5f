import type { AddressSpace, ArchitectureName } from '../cpu/index.js';
import type { LoadedImage } from './loaded-image.js';
import type { Thread } from './thread.js';
import { unwindArm64 } from './unwind-arm64.js';
import { unwindX64 } from './unwind-x64.js';
import { unwindX86 } from './unwind-x86.js';

export interface StackFrame {
  /** The next instruction of this frame: of the innermost one the program counter, of the others a return address. */
  readonly pc: bigint;
  readonly sp: bigint;
  /** The image that `pc` is in; its HPAT and retpoline page belong to it. */
  readonly image: LoadedImage | undefined;
  /** `demo!dispatch+0x9` */
  readonly text: string;
}

/** Registers of one frame: program counter, stack pointer, and those that functions preserve. */
export type FrameRegisters = Map<string, bigint>;

/** What unwinding needs of the thread. */
export interface UnwindSource {
  readonly space: AddressSpace;
  /** Bounds of the thread's stack. */
  readonly stack: { readonly base: bigint; readonly end: bigint };
  imageAt(address: bigint): LoadedImage | undefined;
}

/** Turns a frame's registers into its caller's; undefined when the stack cannot be followed further. */
export type Unwinder = (
  registers: FrameRegisters,
  source: UnwindSource,
  /** The frame stopped between two instructions; otherwise it is in a call. */
  innermost: boolean,
) => FrameRegisters | undefined;

interface Walker {
  readonly pc: string;
  readonly sp: string;
  readonly registers: readonly string[];
  readonly unwind: Unwinder;
}

const X64_PRESERVED = ['rbx', 'rbp', 'rsi', 'rdi', 'r12', 'r13', 'r14', 'r15'];
const X64_ALL = [...X64_PRESERVED, 'rax', 'rcx', 'rdx', 'r8', 'r9', 'r10', 'r11', 'rsp', 'rip'];
const ARM64_ALL = [...Array.from({ length: 31 }, (_, n) => `x${n}`), 'sp', 'pc'];

const WALKERS: Readonly<Record<ArchitectureName, Walker>> = {
  x64: { pc: 'rip', sp: 'rsp', registers: X64_ALL, unwind: unwindX64 },
  arm64: { pc: 'pc', sp: 'sp', registers: ARM64_ALL, unwind: unwindArm64 },
  x86: { pc: 'eip', sp: 'esp', registers: ['eip', 'esp', 'ebp'], unwind: unwindX86 },
};

const DEEPEST = 1000;

export function walkStack(thread: Thread): StackFrame[] {
  const { architecture, domain } = thread;
  const walker = WALKERS[architecture.name];
  const frame = (pc: bigint, sp: bigint): StackFrame => ({
    pc,
    sp,
    image: domain.imageAt(pc),
    text: thread.describe(pc),
  });
  if (thread.finished) return [];
  if (!thread.started) return [frame(thread.startAddress, thread.sp)];
  const source: UnwindSource = {
    space: thread.addressSpace,
    stack: { base: thread.stack.base, end: thread.stack.base + BigInt(thread.stack.size) },
    imageAt: (address) => domain.imageAt(address),
  };
  let registers: FrameRegisters | undefined = new Map(
    walker.registers.map((name) => [name, thread.register(name)]),
  );
  const frames: StackFrame[] = [];
  while (registers !== undefined && frames.length < DEEPEST) {
    const pc: bigint = registers.get(walker.pc) ?? 0n;
    const sp: bigint = registers.get(walker.sp) ?? 0n;
    if (pc === architecture.returnAddress) break;
    frames.push(frame(pc, sp));
    registers = walker.unwind(registers, source, frames.length === 1);
  }
  return frames;
}

/** Reads a stack slot; undefined outside the thread's stack. */
export function readStack(source: UnwindSource, address: bigint, size: 4 | 8): bigint | undefined {
  const { base, end } = source.stack;
  if (address < base || address + BigInt(size) > end) return undefined;
  return size === 8 ? source.space.readU64(address) : BigInt(source.space.readU32(address));
}
