import { instructionFacts, type Processor } from '../cpu/index.js';
import type { CodeLine } from '../image/index.js';
import type { Thread } from '../loader/index.js';
import { callBefore, traceBack } from './backwards.js';
import { DebugError } from './error.js';
import type { Goal } from './stop.js';
import type { View } from './view.js';

const LONGEST_INSTRUCTION = 15;

/** On to the next source line of this thread: into calls, or over them. */
export function lineStep(view: View, into: boolean): Goal {
  const line = lineAt(view.thread, view.pc);
  if (line === undefined)
    throw new DebugError(`${view.describe(view.pc)} has no source line; l-t steps by instructions`);
  return { kind: 'line', step: new LineStep(view.thread, line, into) };
}

/** Back to the beginning of the line that was executed before; from a function's entry to the call that led there. */
export function lineStepBack(view: View): Goal {
  const { thread, stop, pc } = view;
  const image = view.imageAt(pc);
  const origin = { thread: thread.id, executed: view.run.executed(thread) };
  if (image?.symbols.byAddress(image.rva(pc))?.offset !== 0) {
    const line = { thread: thread.id, lowestSp: thread.sp };
    return { kind: 'searchBack', before: stop.position, origin, line };
  }
  // At its entry a function has the stack pointer of every other that its caller has called.
  const caller = view.stack()[1];
  const address = caller && callBefore(view, caller.pc);
  if (caller === undefined || address === undefined) return traceBack(view);
  const call = { thread: thread.id, address, highestSp: caller.sp, otherwise: traceBack(view) };
  return { kind: 'searchBack', before: stop.position, origin, call };
}

/** Is the thread about to begin a line of a frame at or above `lowestSp`? */
export function beginsLine(
  { thread: id, lowestSp }: { readonly thread: number; readonly lowestSp: bigint },
  thread: Thread,
): boolean {
  if (thread.id !== id || thread.sp < lowestSp) return false;
  const line = lineAt(thread, thread.pc);
  return line !== undefined && startsAt(thread, line);
}

/** A step by one source line under way: what is to be executed next, and whether it is done. */
export class LineStep {
  readonly #from: string;
  #call: { readonly returnAddress: bigint; readonly sp: bigint } | undefined;
  #hasReturned = false;

  constructor(
    readonly thread: Thread,
    line: CodeLine,
    private readonly into: boolean,
  ) {
    this.#from = keyOf(thread, line);
  }

  /** How far the processor may run before {@link isDone} is to be asked: one instruction, or to the end of a call. */
  next(processor: Processor): { readonly instructions?: number; readonly until?: bigint } {
    const { thread } = this;
    if (this.#call === undefined) {
      const bytes = processor.fetchBytes(thread.pc, this.#readable(thread.pc));
      const { flow, length } = instructionFacts(thread.architecture.name, bytes, thread.pc);
      if (flow === 'return') this.#hasReturned = true;
      if (this.into || (flow !== 'call' && flow !== 'indirectCall')) return { instructions: 1 };
      this.#call = { returnAddress: thread.pc + BigInt(length), sp: thread.sp };
    }
    return { until: this.#call.returnAddress };
  }

  isDone(): boolean {
    const { thread } = this;
    if (this.#call !== undefined) {
      if (thread.pc !== this.#call.returnAddress || thread.sp < this.#call.sp) return false;
      this.#call = undefined;
    }
    const line = lineAt(thread, thread.pc);
    if (line === undefined) return false;
    // A return leads into the middle of the caller's line, whose rest is still to be executed.
    return this.#hasReturned || (keyOf(thread, line) !== this.#from && startsAt(thread, line));
  }

  /** Bytes at `address` up to the end of its page, when the next one is not there. */
  #readable(address: bigint): number {
    const inPage = 0x1000 - Number(address & 0xfffn);
    if (inPage >= LONGEST_INSTRUCTION) return LONGEST_INSTRUCTION;
    const next = this.thread.addressSpace.query(address + BigInt(inPage)).state === 'committed';
    return next ? LONGEST_INSTRUCTION : inPage;
  }
}

function lineAt(thread: Thread, pc: bigint): CodeLine | undefined {
  const image = thread.domain.imageAt(pc);
  return image?.symbols.lines?.byAddress(image.rva(pc));
}

function startsAt(thread: Thread, line: CodeLine): boolean {
  return thread.domain.imageAt(thread.pc)?.address(line.rva) === thread.pc;
}

/** The line around the thread's next instruction, with its image: base and patch image are often of one file. */
function keyOf(thread: Thread, { file, line }: CodeLine): string {
  return `${thread.domain.imageAt(thread.pc)?.dllBase}:${file.name}:${line}`;
}
