import type { ArchitectureName } from '../../cpu/index.js';
import type { Callout, FrameRegisters, StackFrame, Thread } from '../threads/index.js';
import { frameHandlerArm64, unwindArm64 } from './unwind-arm64.js';
import { frameHandlerX64, unwindX64 } from './unwind-x64.js';
import { unwindX86 } from './unwind-x86.js';
import type { FrameHandler, FrameHandlerFinder, Unwinder, UnwindSource } from './unwinder.js';

interface Walker {
  readonly pc: string;
  readonly sp: string;
  readonly registers: readonly string[];
  readonly unwind: Unwinder;
  readonly handlerOf: FrameHandlerFinder;
}

const X64_PRESERVED = ['rbx', 'rbp', 'rsi', 'rdi', 'r12', 'r13', 'r14', 'r15'];
const X64_ALL = [...X64_PRESERVED, 'rax', 'rcx', 'rdx', 'r8', 'r9', 'r10', 'r11', 'rsp', 'rip'];
const ARM64_ALL = [...Array.from({ length: 31 }, (_, n) => `x${n}`), 'sp', 'pc'];

const WALKERS: Readonly<Record<ArchitectureName, Walker>> = {
  x64: { pc: 'rip', sp: 'rsp', registers: X64_ALL, unwind: unwindX64, handlerOf: frameHandlerX64 },
  arm64: { pc: 'pc', sp: 'sp', registers: ARM64_ALL, unwind: unwindArm64, handlerOf: frameHandlerArm64 },
  x86: {
    pc: 'eip',
    sp: 'esp',
    registers: ['eip', 'esp', 'ebp'],
    unwind: unwindX86,
    handlerOf: () => undefined,
  },
};

const DEEPEST = 1000;

export function walkStack(thread: Thread): StackFrame[] {
  const { architecture, domain } = thread;
  const { sp: spName, registers: names } = WALKERS[architecture.name];
  if (thread.finished) return [];
  const frames: StackFrame[] = [];
  const add = (pc: bigint, sp: bigint): void => {
    frames.push({ pc, sp, image: domain.imageAt(pc), text: thread.describe(pc) });
  };
  if (!thread.started) {
    add(thread.startAddress, thread.sp);
    return frames;
  }
  const walker = new FrameWalker(thread, new Map(names.map((name) => [name, thread.register(name)])));
  if (walker.pc === architecture.returnAddress) return [];
  do add(walker.pc, walker.registers.get(spName) ?? 0n);
  while (frames.length < DEEPEST && walker.next());
  return frames;
}

/**
 * Goes from frame to frame of a thread, outwards. Where a procedure of the kernel model has called the guest, it goes on
 * with the frame that the procedure interrupted.
 */
export class FrameWalker {
  readonly #source: UnwindSource;
  readonly #walker: Walker;
  readonly #callouts: Callout[];
  /** The frame stopped between two instructions; otherwise it is in a call. */
  innermost = true;
  /** DISPATCHER_CONTEXT of an unwind that was under way in this frame when it was interrupted. */
  interruptedUnwind: bigint | undefined;

  constructor(
    private readonly thread: Thread,
    public registers: FrameRegisters,
    callouts: readonly Callout[] = thread.callouts,
  ) {
    this.#source = unwindSource(thread);
    this.#walker = WALKERS[thread.architecture.name];
    this.#callouts = [...callouts];
  }

  /** Begins with what the youngest procedure of the thread has interrupted. */
  static behindProcedure(thread: Thread): FrameWalker {
    const callouts = [...thread.callouts];
    const callout = callouts.pop();
    return new FrameWalker(thread, new Map(callout?.registers), callouts);
  }

  get pc(): bigint {
    return this.registers.get(this.#walker.pc) ?? 0n;
  }

  /** Procedures of the thread that interrupted frames outside of this one: those of `thread.callouts` that come first. */
  get proceduresOutside(): number {
    return this.#callouts.length;
  }

  /** The language-specific handler of this frame. */
  get handler(): FrameHandler | undefined {
    return this.#walker.handlerOf(this.registers, this.#source, this.innermost);
  }

  /** To the caller's frame; false behind the outermost one. */
  next(): boolean {
    const caller = this.#walker.unwind(this.registers, this.#source, this.innermost);
    if (caller === undefined) return false;
    this.registers = caller;
    this.innermost = false;
    this.interruptedUnwind = undefined;
    return this.pc !== this.thread.architecture.returnAddress || this.#behindCall();
  }

  #behindCall(): boolean {
    const callout = this.#callouts.pop();
    if (callout === undefined) return false;
    const { unwind } = callout;
    this.registers = new Map(unwind?.registers ?? callout.registers);
    this.innermost = unwind?.innermost ?? true;
    this.interruptedUnwind = unwind?.dispatcherContext;
    if (unwind !== undefined) this.#callouts.length = unwind.proceduresOutside;
    return true;
  }
}

function unwindSource(thread: Thread): UnwindSource {
  const { domain, stack } = thread;
  return {
    space: thread.addressSpace,
    stack: { base: stack.base, end: stack.base + BigInt(stack.size) },
    imageAt: (address) => domain.imageAt(address),
  };
}
