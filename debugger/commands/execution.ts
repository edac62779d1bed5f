import { instructionFacts } from '../../cpu/index.js';
import type { DebugCommand } from '../command.js';
import { DebugError } from '../error.js';
import { evaluate } from '../expression.js';
import { lineStep } from '../line-step.js';
import type { Goal } from '../stop.js';
import type { View } from '../view.js';

export const executionCommands: readonly DebugCommand[] = [
  {
    name: 'g',
    usage: 'g [ADDRESS]',
    help: 'go on, to the next breakpoint or to ADDRESS',
    run: ({ view, args }) =>
      args === '' ? { kind: 'go' } : { kind: 'reach', address: evaluate(args, view) },
  },
  {
    name: 't',
    usage: 't [COUNT]',
    help: 'trace: execute one instruction of this thread, into calls',
    run: ({ view, args }) =>
      view.session.stepsByLine && args === '' ? lineStep(view, true) : trace(view, countOf(args, view)),
  },
  {
    name: 'p',
    usage: 'p',
    help: 'step: execute one instruction of this thread, over calls',
    run: ({ view }) => (view.session.stepsByLine ? lineStep(view, false) : stepOver(view)),
  },
  {
    name: 'gu',
    usage: 'gu',
    help: 'go up: until this function has returned',
    run: ({ view }) => goUp(view),
  },
  { name: 'q', usage: 'q', help: 'quit', run: () => ({ kind: 'quit' }) },
];

export function countOf(args: string, view: View): number {
  const count = args === '' ? 1n : evaluate(args, view);
  if (count < 1n || count > 0x7fff_ffffn) throw new DebugError(`${args} is not a number of instructions`);
  return Number(count);
}

export function trace(view: View, count = 1): Goal {
  const { thread } = view;
  return { kind: 'step', thread, executed: view.run.executed(thread) + count };
}

/** Length and kind, `call`, `return`, `jump` …, of the instruction that the thread executes next, as its processor fetches it. */
export function nextInstruction(view: View): { readonly flow: string; readonly length: number } {
  const { pc, thread, architecture } = view;
  const inMemory = view.readUpTo(pc, architecture.maximumInstructionLength);
  const bytes = thread.processor?.fetchBytes(pc, inMemory.length) ?? inMemory;
  return instructionFacts(architecture.name, bytes, pc);
}

export function stepOver(view: View): Goal {
  const { thread, pc } = view;
  const { flow, length } = nextInstruction(view);
  if (flow !== 'call' && flow !== 'indirectCall') return trace(view);
  return { kind: 'reach', thread, address: pc + BigInt(length), lowestSp: thread.sp };
}

export function goUp(view: View): Goal {
  const caller = view.stack()[1];
  if (caller === undefined) throw new DebugError('this is the outermost function; g runs on');
  return { kind: 'reach', thread: view.thread, address: caller.pc, lowestSp: caller.sp };
}
