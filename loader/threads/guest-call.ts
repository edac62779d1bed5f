import type { Processor, ProcessorContext } from '../../cpu/index.js';
import type { Blocked } from '../common/index.js';
import type { Scheduler } from './scheduler.js';
import { type Thread, threadFields } from './thread.js';
import { finishThread, keepCallouts, takeLastCalls } from './thread-control.js';

/** A guest function that the kernel model calls on the thread that it is working for; its result comes back from `yield`. */
export interface GuestCall {
  readonly target: bigint;
  readonly arguments: readonly bigint[];
  /** Registers to set besides the arguments: an x86 filter finds its frame by ebp. */
  readonly registers?: Iterable<readonly [name: string, value: bigint]>;
}

/** Registers of one frame: program counter, stack pointer, and those that functions preserve. */
export type FrameRegisters = Map<string, bigint>;

/** A result in a floating-point register, or of 64 bits (edx:eax of 32-bit code). */
export type TypedResult =
  | { readonly kind: 'single' | 'double'; readonly value: number }
  | { readonly kind: 'u64'; readonly value: bigint };

/**
 * What a handler returns: the result, nothing, that the thread now waits, that it has set all registers (program counter
 * too) itself, or a procedure that calls guest code before it has a result.
 */
export type ServiceResult =
  | bigint
  | TypedResult
  | number
  | Blocked
  | GuestProcedure
  | typeof CONTEXT_SET
  | undefined
  // biome-ignore lint/suspicious/noConfusingVoidType: a handler without a result is written as one without a return.
  | void;

export const CONTEXT_SET = Symbol('the handler has set the registers');

/** Work of the kernel model that calls back into the guest in between. The thread may be preempted during each call. */
export type GuestProcedure = Generator<GuestCall, ServiceResult, bigint>;

/** Where the walk through a thread's frames goes on when an exception interrupts an unwind that is under way. */
export interface UnwindInProgress {
  readonly registers: FrameRegisters;
  readonly innermost: boolean;
  /** Procedures that interrupted frames outside of that frame. */
  readonly proceduresOutside: number;
  /** DISPATCHER_CONTEXT of the frame that is being unwound: its ScopeIndex says which scopes are done. */
  readonly dispatcherContext: bigint;
}

/** A procedure that has interrupted its thread, with the state in which it did. */
export interface Callout {
  readonly procedure: GuestProcedure;
  readonly context: ProcessorContext;
  readonly registers: FrameRegisters;
  /** Lowest address of the thread's stack that is in use: calls begin below. */
  stackTop: bigint;
  unwind: UnwindInProgress | undefined;
  finish(processor: Processor, result: ServiceResult): void;
}

/** What interrupted code may have stored below its stack pointer (ARM64 ABI: 16 bytes; x64 leaves nothing). */
const RED_ZONE = 0x80n;

/**
 * Interrupts a thread: runs `procedure` until it calls the guest or ends. At its end the thread is as it was before, and
 * `finish` lets it go on; unless the procedure has set the registers itself (CONTEXT_SET).
 */
export function startProcedure(
  scheduler: Pick<Scheduler, 'putBack'>,
  thread: Thread,
  procedure: GuestProcedure,
  finish: Callout['finish'],
): void {
  const processor = processorOf(thread);
  const { architecture } = thread;
  const registers = new Map(architecture.registers.map((name) => [name, processor.get(name)]));
  for (const name of PRESERVED_VECTORS[architecture.name]) registers.set(name, processor.get(name));
  const sp = registers.get(architecture.stackPointer) ?? 0n;
  const callout: Callout = {
    procedure,
    context: processor.saveContext(),
    registers,
    stackTop: (sp - RED_ZONE) & ~15n,
    unwind: undefined,
    finish,
  };
  threadFields(thread).callouts.push(callout);
  advance(scheduler, thread, callout, 0n);
}

/** Vector registers that functions preserve (x64 and ARM64 calling conventions). */
export const PRESERVED_VECTORS = {
  x64: ['xmm6', 'xmm7', 'xmm8', 'xmm9', 'xmm10', 'xmm11', 'xmm12', 'xmm13', 'xmm14', 'xmm15'],
  arm64: ['d8', 'd9', 'd10', 'd11', 'd12', 'd13', 'd14', 'd15'],
  x86: [],
} as const;

/** A function that a procedure called has returned: the thread's youngest procedure goes on. */
export function resumeProcedure(scheduler: Pick<Scheduler, 'putBack'>, thread: Thread, result: bigint): void {
  const callout = thread.callouts.at(-1);
  if (callout !== undefined) advance(scheduler, thread, callout, result);
}

function advance(
  scheduler: Pick<Scheduler, 'putBack'>,
  thread: Thread,
  callout: Callout,
  input: bigint,
): void {
  const before = processorOf(thread);
  let step: IteratorResult<GuestCall, ServiceResult>;
  try {
    step = callout.procedure.next(input);
  } catch (error) {
    abandon(thread, callout);
    throw error;
  }
  scheduler.putBack(thread, before);
  if (step.done !== true) {
    enter(thread, callout, step.value);
    return;
  }
  abandon(thread, callout);
  if (step.value === CONTEXT_SET || thread.finished) return;
  const processor = processorOf(thread);
  processor.loadContext(callout.context);
  callout.finish(processor, step.value);
}

function enter(thread: Thread, callout: Callout, call: GuestCall): void {
  const processor = processorOf(thread);
  processor.loadContext(callout.context);
  thread.stack.grow(callout.stackTop - 0x100n);
  thread.architecture.prepareCall(processor, {
    target: call.target,
    arguments: call.arguments,
    stackTop: callout.stackTop,
  });
  for (const [name, value] of call.registers ?? []) processor.set(name, value);
}

/** The procedure and all that have interrupted it are over. */
function abandon(thread: Thread, callout: Callout): void {
  const index = thread.callouts.indexOf(callout);
  if (index >= 0) keepCallouts(thread, index);
}

/** Ends the procedures that had interrupted frames below `sp`, which are being left for good. */
export function abandonBelow(thread: Thread, sp: bigint): void {
  const { stackPointer } = thread.architecture;
  const first = thread.callouts.findIndex(({ registers }) => (registers.get(stackPointer) ?? 0n) < sp);
  if (first >= 0) keepCallouts(thread, first);
}

/** Takes room on the thread's stack for the procedure that is running; undefined when the stack is full. */
export function takeStack(thread: Thread, size: number): bigint | undefined {
  const callout = thread.callouts.at(-1);
  if (callout === undefined) return undefined;
  const address = (callout.stackTop - BigInt(size)) & ~15n;
  if (!thread.stack.grow(address - RED_ZONE)) return undefined;
  callout.stackTop = address;
  return address;
}

/** The processor that the thread is on at this moment: it may be another one after each call. */
export function processorOf(thread: Thread): Processor {
  const { processor } = thread;
  if (processor === undefined) throw new Error(`thread ${thread.id} is on no processor`);
  return processor;
}

export function isProcedure(result: ServiceResult): result is GuestProcedure {
  return typeof result === 'object' && result !== null && 'next' in result;
}

/** Calls a thread makes beside its own function. */
export interface ThreadNotifications {
  /** Before the function, when it is about to run for the first time. */
  begins(): readonly GuestCall[];
  /** When it is about to end by itself. */
  ends(): readonly GuestCall[];
}

export function* callAll(calls: readonly GuestCall[]): GuestProcedure {
  for (const call of calls) yield call;
}

/** For what ends its thread from within: makes the thread's last calls first. */
export function* endThread(thread: Thread, status: bigint): GuestProcedure {
  yield* callAll(takeLastCalls(thread));
  finishThread(thread, status);
  return CONTEXT_SET;
}
